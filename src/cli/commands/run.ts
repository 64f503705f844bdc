// `darts run`: the main job, from data to a trained network and its comparison with a random one.
import type { Command } from "../command.ts";
import { newRunOptions, RUN_OPTIONS, resume } from "./new-run.ts";

/** The command. */
export const run: Command = {
  name: "run",
  summary: "search a cell, derive it, train it and a random cell of equal budget, and report",
  options: RUN_OPTIONS,
  configKeys: "all",
  interruptible: true,
  examples: [
    ["darts run --preset quick", "minutes on two CPU cores"],
    ["darts run --preset quick --data-name fashion-mnist", "the same on other images"],
    ["darts run --data-name folder --data-path my-images", "your own images, one folder a class"],
    ["darts run --resume runs/first", "go on with an interrupted run"],
  ],
  async action(input) {
    const resumed = await resume("run", input);
    if (resumed) return resumed;
    const { loadConfig } = await import("../../plugin/config.ts");
    const config = await loadConfig(input.sources);
    const { runCommand } = await import("../../run/jobs.ts");
    return runCommand(config, newRunOptions(input));
  },
};
