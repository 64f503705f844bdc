// What a person sees when something goes wrong, and the exit code that a script sees.
import { CommanderError, type Command as Parser } from "commander";
import { nearest } from "../config/nearest.ts";
import { outOfMemory, UserError } from "../errors.ts";

/** Exit code for a mistake that the user can mend. */
const MISTAKE = 2;
/** Exit code for a fault of the program. */
const FAULT = 1;

/**
 * Writes what was thrown to stderr and returns the exit code. Stack traces only with DARTS_DEBUG=1.
 * `program` and `command` let an unknown flag name the nearest one.
 */
export function reportError(
  thrown: unknown,
  program: Parser | undefined,
  command: string | undefined,
): number {
  const error = outOfMemory(thrown) ?? thrown;
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return 0; // help and version end this way
    const help = command ? `darts ${command} --help` : "darts --help";
    write(`${error.message.replace(/^error: /, "")}${nearestFlag(error, program, command)}`, error);
    process.stderr.write(`See ${help}\n`);
    return MISTAKE;
  }
  if (error instanceof UserError) {
    write(error.message, error);
    return MISTAKE;
  }
  write(error instanceof Error ? `${error.name}: ${error.message}` : String(error), error);
  const hint = "This is a fault in darts, not in what you typed.";
  process.stderr.write(isDebug() ? `${hint}\n` : `${hint} DARTS_DEBUG=1 shows where it happened.\n`);
  return FAULT;
}

function write(message: string, error: unknown): void {
  process.stderr.write(`darts: ${message}\n`);
  if (isDebug() && error instanceof Error) process.stderr.write(`${error.stack}\n`);
}

function isDebug(): boolean {
  const value = process.env["DARTS_DEBUG"];
  return value !== undefined && value !== "" && value !== "0";
}

/** `--epochs` most likely means a flag that ends in `-epochs`; otherwise the one with the fewest edits. */
function nearestFlag(
  error: CommanderError,
  program: Parser | undefined,
  command: string | undefined,
): string {
  const flag = /unknown option '(--?[^'=]*)/.exec(error.message)?.[1];
  const parser = program?.commands.find((candidate) => candidate.name() === command) ?? program;
  if (error.code !== "commander.unknownOption" || flag === undefined || !parser) return "";
  const flags = parser.options.flatMap(({ long }) => (long ? [long] : []));
  const ending = flags.filter((candidate) => candidate.endsWith(flag.slice(1)));
  const near = nearest(flag, [...flags, "--help"]);
  const meant = ending.length ? ending.join(" or ") : near;
  return meant ? `. Did you mean ${meant}?` : "";
}
