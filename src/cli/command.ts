// Commands are data: a name, a summary, arguments, options and a lazily importing action.
// main.ts turns them into a command line; what every command shares (--json, errors, exit codes) lives there.
import type { ConfigSources } from "../config/load.ts";
import { UserError } from "../errors.ts";
import type { Reporter } from "../run/job.ts";

/** One command of `darts`. */
export interface Command {
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** Example calls with a word on each, shown below the help. */
  readonly examples?: readonly (readonly [call: string, what: string])[];
  readonly arguments?: readonly CommandArgument[];
  readonly options?: readonly CommandOption[];
  /** Which configuration keys it takes as flags; `all` adds --config, --preset and --set too. */
  readonly configKeys?: "all" | readonly string[];
  /** Whether it listens to {@link CommandInput.signal}; other commands are ended by Ctrl-C at once. */
  readonly interruptible?: boolean;
  /** What the first Ctrl-C does, in words; unless told, it finishes the step and saves. */
  readonly whenInterrupted?: string;
  action(input: CommandInput): Promise<Outcome>;
}

/** A positional argument; `usage` is `<name>` when required, `[name]` when not, `<name...>` for one and more. */
export interface CommandArgument {
  readonly usage: string;
  readonly description: string;
}

/** An option; its value is a text unless `parse` makes something else of it. */
export interface CommandOption {
  /** For example `--out <folder>`. */
  readonly usage: string;
  readonly description: string;
  readonly default?: string | number;
  /** Whether it may be given several times; any other is refused the second time. */
  readonly repeatable?: boolean;
  /** `before` is what a repeated option was parsed to so far. */
  readonly parse?: (text: string, before?: unknown) => unknown;
}

/** What an action is called with. */
export interface CommandInput {
  /** Positional arguments in order. */
  readonly args: readonly (string | undefined)[];
  /** Options by camelCase name. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Where the configuration comes from, as written on the command line. */
  readonly sources: ConfigSources;
  /** Says on stderr what is being done; stdout is for the result alone. */
  readonly reporter: Reporter;
  /** Aborted by the first Ctrl-C, SIGTERM or SIGHUP, if the command is interruptible. */
  readonly signal: AbortSignal | undefined;
}

/** What an action ends with: one of the two forms is printed. */
export interface Outcome {
  /** Printed on one line with --json. */
  readonly json: unknown;
  /** Printed without --json. */
  readonly text: string;
  /** 0 unless told. */
  readonly exitCode?: number;
}

/** Parses a whole number of at least `minimum`; `flag` names the option in the error. */
export function wholeNumber(flag: string, minimum: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== "" && Number.isSafeInteger(value) && value >= minimum) return value;
    throw new UserError(
      `${flag}: expected a whole number, at least ${minimum}, got ${JSON.stringify(text)}.`,
    );
  };
}

/** Parses any finite number; `flag` names the option in the error. */
export function finiteNumber(flag: string): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== "" && Number.isFinite(value)) return value;
    throw new UserError(`${flag}: expected a number, got ${JSON.stringify(text)}.`);
  };
}

/** Parses one of a few words; `flag` names the option in the error. */
export function oneOf<T extends string>(flag: string, words: readonly T[]): (text: string) => T {
  return (text) => {
    const word = words.find((candidate) => candidate === text);
    if (word !== undefined) return word;
    throw new UserError(`${flag}: expected ${words.join(" or ")}, got ${JSON.stringify(text)}.`);
  };
}
