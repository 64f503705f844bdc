// `darts plan`: what a command would need, in parameters, memory and time, without doing it.
import { type Command, wholeNumber } from "../command.ts";

/** The command. */
export const plan: Command = {
  name: "plan",
  summary: "say what a run, a search or a training would need: parameters, memory, time",
  arguments: [
    { usage: "[work]", description: "run (the default), search, or a cell to train as darts train takes it" },
  ],
  options: [
    {
      usage: "--steps <integer>",
      description: "steps of the full size to time (0: none, and then no times are told)",
      default: 3,
      parse: wholeNumber("--steps", 0),
    },
  ],
  configKeys: "all",
  examples: [
    ["darts plan --preset paper", "search and training as published"],
    ["darts plan search --preset paper --search-micro-batch 16", "the search alone, in less memory"],
    ["darts plan DARTS_V2 --preset paper --steps 0", "the training of a published cell, memory only"],
  ],
  async action({ args, options, sources, reporter }) {
    const { loadConfig } = await import("../../plugin/config.ts");
    const config = await loadConfig(sources);
    const { planCommand } = await import("../../run/jobs.ts");
    const probeSteps = options["steps"] as number;
    return planCommand(config, { work: args[0] ?? "run", probeSteps, reporter });
  },
};
