// Options of the commands that compute in a run folder, new or resumed, and how they read them.
import { UserError } from "../../errors.ts";
import type { JobOptions, JobResult, NewRunOptions } from "../../run/job.ts";
import type { RunCommand } from "../../run/run-record.ts";
import type { CommandInput, CommandOption } from "../command.ts";

/** Where the run's folder goes, or which one goes on. */
export const RUN_OPTIONS: readonly CommandOption[] = [
  { usage: "--name <name>", description: "name of the run's folder (default: date, time and preset)" },
  { usage: "--root <folder>", description: "folder that holds the runs (default: runs)" },
  {
    usage: "--resume <run>",
    description: "go on with the interrupted run in this folder, to the same bytes as without the break",
  },
];

/** Reads {@link RUN_OPTIONS} for a new run. */
export function newRunOptions(input: CommandInput): NewRunOptions {
  const { name, root = "runs" } = input.options as { name?: string; root?: string };
  return { name, root, preset: input.sources.preset, ...jobOptions(input) };
}

/** Goes on with the run that `--resume` names; undefined without it. */
export async function resume(command: RunCommand, input: CommandInput): Promise<JobResult | undefined> {
  const { resume: run, name, root } = input.options as { resume?: string; name?: string; root?: string };
  if (run === undefined) return undefined;
  if (name !== undefined || root !== undefined) {
    throw new UserError("--resume names the folder of the run: leave out --name and --root.");
  }
  const { resumeCommand } = await import("../../run/jobs.ts");
  return resumeCommand(command, input.sources, { run, ...jobOptions(input) });
}

function jobOptions({ reporter, signal }: CommandInput): JobOptions {
  return { reporter, signal };
}
