// The command line: picks the command, parses, runs it, prints its result, and turns errors into sentences.
// Only commander is loaded here; whatever else a command needs, its action imports, so that help is quick.
import { readFileSync } from "node:fs";
import { Command as Parser } from "commander";
import { nearest } from "../config/nearest.ts";
import { UserError } from "../errors.ts";
import { reasonOf } from "../files.ts";
import { Interruption } from "../run/interruption.ts";
import type { Command, Outcome } from "./command.ts";
import { check } from "./commands/check.ts";
import { compare } from "./commands/compare.ts";
import { data } from "./commands/data.ts";
import { derive } from "./commands/derive.ts";
import { diff } from "./commands/diff.ts";
import { doctor } from "./commands/doctor.ts";
import { init } from "./commands/init.ts";
import { plan } from "./commands/plan.ts";
import { presets } from "./commands/presets.ts";
import { run } from "./commands/run.ts";
import { search } from "./commands/search.ts";
import { show } from "./commands/show.ts";
import { test } from "./commands/test.ts";
import { toy } from "./commands/toy.ts";
import { train } from "./commands/train.ts";
import { reportError, reportInterruption } from "./errors.ts";
import { addOptions, readSources } from "./options.ts";
import { createReporter } from "./progress.ts";
import { catchSignals } from "./signals.ts";

/** Every command in the order of the help. */
export const COMMANDS: readonly Command[] = [
  run,
  init,
  search,
  derive,
  train,
  test,
  show,
  plan,
  presets,
  diff,
  compare,
  data,
  toy,
  check,
  doctor,
];

/**
 * Runs `darts` with the arguments after the program's name and sets the process's exit code: 0, what the
 * command says, 2 for a mistake of the user's, 1 for a fault of ours.
 */
export async function main(argv: readonly string[]): Promise<void> {
  quietPipes();
  let program: Parser | undefined;
  try {
    const name = commandName(argv);
    program = await createProgram(name);
    await program.parseAsync(argv.length ? argv : ["--help"], { from: "user" });
  } catch (error) {
    process.exitCode =
      error instanceof Interruption
        ? reportInterruption(error, argv)
        : reportError(error, program, commandName(argv, false));
  }
}

/** The first word that is no flag, or what help is asked about; an unknown one is refused by name. */
function commandName(argv: readonly string[], strict = true): string | undefined {
  const words = argv.filter((word) => !word.startsWith("-"));
  const name = words[0] === "help" ? words[1] : words[0];
  const names = COMMANDS.map((command) => command.name);
  if (!strict || name === undefined || names.includes(name)) return name;
  const near = nearest(name, names);
  const advice = near ? ` Did you mean ${near}?` : "";
  throw new UserError(`Unknown command ${JSON.stringify(name)}.${advice} Commands: ${names.join(", ")}.`);
}

/** `chosen` gets its options; the others are there for the list alone, so that no schema is loaded for them. */
async function createProgram(chosen: string | undefined): Promise<Parser> {
  const program = new Parser("darts")
    .description("Differentiable architecture search: find a cell, derive it, train it.")
    .version(version(), "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand("help [command]", "print the help of a command")
    .exitOverride()
    .showSuggestionAfterError(false)
    .configureOutput({ outputError: () => {} }) // reportError prints it, once
    .addHelpText("after", "\nThe whole job, from search to trained network:\n  darts run --preset quick\n");
  for (const command of COMMANDS) {
    const parser = program.command(command.name).summary(command.summary).description(command.summary);
    parser.helpOption("-h, --help", "print this help");
    for (const { usage, description } of command.arguments ?? []) parser.argument(usage, description);
    if (command.name === chosen) await addOptions(parser, command);
    parser.action(() => execute(command, parser));
  }
  return program;
}

async function execute(command: Command, parser: Parser): Promise<void> {
  const options: Record<string, unknown> = parser.opts();
  const args = (parser.processedArgs as (string | undefined | string[])[]).flat();
  const sources = await readSources(options, command);
  const reporter = createReporter();
  const signals = command.interruptible ? catchSignals(reporter.log, command.whenInterrupted) : undefined;
  try {
    const outcome = await command.action({ args, options, sources, reporter, signal: signals?.signal });
    print(outcome, options["json"] === true);
  } finally {
    reporter.close();
    signals?.stop();
  }
}

/** The one place that writes a result to stdout. */
function print({ json, text, exitCode = 0 }: Outcome, asJson: boolean): void {
  const output = asJson ? JSON.stringify(json) : text.replace(/\n+$/, "");
  process.stdout.write(`${output}\n`);
  process.exitCode = exitCode;
}

function version(): string {
  const manifest = readFileSync(new URL("../../../package.json", import.meta.url), "utf8");
  return (JSON.parse(manifest) as { version: string }).version;
}

/**
 * `darts show … | head -1` closes our pipe early: that is no error. What was asked for is still done: a run
 * whose messages nobody reads any more goes on to its end, because its result is its folder. A result that cannot be
 * written, on a full disk, is one.
 */
function quietPipes(): void {
  process.stderr.on("error", () => {});
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    // EIO: the terminal itself is gone, as after a SIGHUP.
    if (["EPIPE", "EIO", "ERR_STREAM_DESTROYED"].includes(error.code ?? "")) return;
    const reason = reasonOf(error);
    const known = reason === undefined ? error : new UserError(`Cannot write the result: ${reason}`);
    process.exitCode = reportError(known, undefined, undefined);
  });
}
