// The options of a command, its own and those that commands share, put on the parser and read back.
import { Option, type Command as Parser } from "commander";
import type { ConfigSources } from "../config/load.ts";
import { UserError } from "../errors.ts";
import type { Command } from "./command.ts";

/** Adds a command's options; the configuration's flags are made (and its schema loaded) only if it takes any. */
export async function addOptions(
  parser: Parser,
  { options = [], examples = [], configKeys }: Command,
): Promise<void> {
  const repeatable = new Set(["--set"]);
  for (const { usage, description, default: value, repeatable: isRepeatable, parse } of options) {
    const option = new Option(usage, description);
    if (value !== undefined) option.default(value);
    if (parse) option.argParser(parse);
    if (isRepeatable) repeatable.add(option.long!);
    parser.addOption(option);
  }
  parser.option("--json", "print one JSON object on stdout, for machines");
  if (configKeys === "all") addSources(parser);
  if (configKeys) {
    const { configFlags } = await import("../config/flags.ts");
    for (const { usage, description, heading, repeatable: isRepeatable } of configFlags(configKeys)) {
      const option = new Option(usage, description).helpGroup(heading);
      if (isRepeatable) repeatable.add(option.long!);
      parser.addOption(isRepeatable ? option.argParser(joined) : option);
    }
  }
  refuseSlips(parser, repeatable);
  if (examples.length) {
    const width = Math.max(...examples.map(([call]) => call.length));
    const lines = examples.map(([call, what]) => `  ${call.padEnd(width)}  ${what}`);
    parser.addHelpText("after", `\nExamples:\n${lines.join("\n")}\n`);
  }
}

/** What the command line says about the configuration; flags by the dotted path of their key. */
export async function readSources(
  options: Readonly<Record<string, unknown>>,
  { configKeys }: Command,
): Promise<ConfigSources> {
  if (!configKeys) return {};
  const { configFlags } = await import("../config/flags.ts");
  const flags: Record<string, unknown> = {};
  for (const { path, usage } of configFlags(configKeys)) {
    const value = options[new Option(usage).attributeName()];
    if (value !== undefined) flags[path] = value;
  }
  const { preset, config, set } = options as { preset?: string; config?: string; set?: string[] };
  return { preset, file: config, set: set ?? [], flags };
}

/**
 * What the parser would take without a word: an option that is given twice, of which the last would count, and one
 * whose value was forgotten, for which the next option's name would be taken.
 */
function refuseSlips(parser: Parser, repeatable: ReadonlySet<string>): void {
  const given = new Map<string, string>();
  for (const option of parser.options) {
    if (!option.required) continue; // it takes no value
    parser.on(`option:${option.name()}`, (value: string) => {
      const flag = option.long!;
      if (parser.options.some(({ long }) => long === value)) {
        throw new UserError(
          `${flag} has no value: the option ${value} follows it. Write a value after ${flag}.`,
        );
      }
      const before = given.get(flag);
      given.set(flag, value);
      if (before !== undefined && !repeatable.has(flag))
        throw new UserError(`${flag} is given twice: ${before} and ${value}. Leave one of them out.`);
    });
  }
}

/** A list given in several flags is one list. */
function joined(value: string, before: string | undefined): string {
  return before === undefined ? value : `${before},${value}`;
}

function addSources(parser: Parser): void {
  const group = "Configuration, from weakest to strongest (flags below are the strongest):";
  const collect = (value: string, before: string[] | undefined) => [...(before ?? []), value];
  parser.addOption(new Option("--preset <name>", "named settings: see darts presets").helpGroup(group));
  parser.addOption(new Option("--config <file>", "YAML file of settings").helpGroup(group));
  parser.addOption(
    new Option("--set <key=value>", "one setting, for example search.epochs=3; repeatable")
      .argParser(collect)
      .helpGroup(group),
  );
}
