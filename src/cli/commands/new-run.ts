// Options of the commands that make a run folder, and how they read them.
import type { NewRunOptions } from "../../run/job.ts";
import type { CommandInput, CommandOption } from "../command.ts";

/** Where the run's folder goes. */
export const NEW_RUN_OPTIONS: readonly CommandOption[] = [
  { usage: "--name <name>", description: "name of the run's folder (default: date, time and preset)" },
  { usage: "--root <folder>", description: "folder that holds the runs", default: "runs" },
];

/** Reads {@link NEW_RUN_OPTIONS}. */
export function newRunOptions({ options, sources, reporter }: CommandInput): NewRunOptions {
  const { name, root } = options as { name?: string; root: string };
  return { name, root, preset: sources.preset, reporter };
}
