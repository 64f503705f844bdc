// What a person sees when something goes wrong, and the exit code that a script sees.
import { basename, relative } from "node:path";
import { CommanderError, type Command as Parser } from "commander";
import { nearest } from "../config/nearest.ts";
import { outOfMemory, UserError } from "../errors.ts";
import type { Interruption } from "../run/interruption.ts";
import { signalExitCode } from "./signals.ts";

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
    const message = error.message.replace(/^error: /, "");
    write(`${message}${nearestFlag(error, program, command)}${superfluous(error, program, command)}`, error);
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

/**
 * Says how an interrupted run is resumed, by the very command that does it; returns the exit code. `argv` is what was
 * typed after the program's name: it starts a run that had not begun.
 */
export function reportInterruption({ run, cause }: Interruption, argv: readonly string[]): number {
  const words = run === undefined ? argv : [argv[0]!, "--resume", run];
  const told =
    run === undefined ? "Interrupted before anything was begun. Start it" : "Interrupted. Resume it";
  process.stderr.write(`darts: ${told} with:\n  ${[...program(), ...words.map(quote)].join(" ")}\n`);
  return signalExitCode(String(cause));
}

/** The program as it was called: `darts` where that is linked, otherwise by its path. */
function program(): string[] {
  const path = process.argv[1] ?? "darts";
  if (basename(path) === "darts") return ["darts"];
  const below = relative(process.cwd(), path);
  return ["node", quote(below.startsWith("..") ? path : below)];
}

/** A word as a shell reads it back. */
function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

function write(message: string, error: unknown): void {
  process.stderr.write(`darts: ${message}\n`);
  if (isDebug() && error instanceof Error) process.stderr.write(`${error.stack}\n`);
}

function isDebug(): boolean {
  const value = process.env["DARTS_DEBUG"];
  return value !== undefined && value !== "" && value !== "0";
}

/** The words that a command has no use for. */
function superfluous(
  error: CommanderError,
  program: Parser | undefined,
  command: string | undefined,
): string {
  const parser = program?.commands.find((candidate) => candidate.name() === command);
  if (error.code !== "commander.excessArguments" || !parser) return "";
  const words = parser.args.slice(parser.registeredArguments.length).map((word) => JSON.stringify(word));
  return ` Leave out ${words.join(" and ")}.`;
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
