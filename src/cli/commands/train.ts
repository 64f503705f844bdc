// `darts train`: trains a cell from scratch, whether found here, published, or drawn at random.
import { UserError } from "../../errors.ts";
import type { Command } from "../command.ts";
import { newRunOptions, RUN_OPTIONS, resume } from "./new-run.ts";

/** The command. */
export const train: Command = {
  name: "train",
  summary: "train a cell from scratch and measure it on the test images",
  arguments: [
    {
      usage: "[cell]",
      description:
        "run folder, genotype file, published name, random, or - for standard input; not with --resume",
    },
  ],
  options: RUN_OPTIONS,
  configKeys: "all",
  interruptible: true,
  examples: [
    ["darts train runs/first", "the cell of that run, with that run's settings"],
    ["darts train DARTS_V2 --preset quick", "a published cell"],
    ["darts train random --preset quick --seed 3", "the random baseline"],
    ["darts train --resume runs/second", "go on with an interrupted training"],
  ],
  async action(input) {
    const [cell] = input.args;
    if (cell !== undefined && input.options["resume"] !== undefined) {
      throw new UserError("--resume goes on with the cell of its run: leave out the cell.");
    }
    const resumed = await resume("train", input);
    if (resumed) return resumed;
    if (cell === undefined) {
      throw new UserError(
        "Which cell? Expected a run folder, a genotype file, a published name, random or -.",
      );
    }
    const [{ loadConfig }, { isRunFolder, runConfigFile }] = await Promise.all([
      import("../../plugin/config.ts"),
      import("../../run/run-folder.ts"),
    ]);
    // A run's cell is trained as that run was set up, unless the command line names other settings.
    const { preset, file } = input.sources;
    const own = preset === undefined && file === undefined && isRunFolder(cell);
    const config = await loadConfig(own ? { ...input.sources, file: runConfigFile(cell) } : input.sources);
    const { trainCommand } = await import("../../run/jobs.ts");
    return trainCommand(config, { ...newRunOptions(input), cell });
  },
};
