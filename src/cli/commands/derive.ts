// `darts derive`: reads a genotype off the alphas of a search.
import { type Command, wholeNumber } from "../command.ts";

/** The command. */
export const derive: Command = {
  name: "derive",
  summary: "derive the genotype of a search from its alphas",
  arguments: [{ usage: "<run>", description: "folder of a run that has searched" }],
  options: [
    {
      usage: "--epoch <integer>",
      description: "epoch whose alphas are read, counted from 0 (default: the one that the search took)",
      parse: wholeNumber("--epoch", 0),
    },
  ],
  configKeys: ["plugin"],
  examples: [["darts derive runs/first --epoch 20", "the cell as it stood then"]],
  async action({ args, options, sources, reporter }) {
    const [{ loadConfig }, { runConfigFile }] = await Promise.all([
      import("../../plugin/config.ts"),
      import("../../run/run-folder.ts"),
    ]);
    const path = args[0]!;
    await loadConfig({ ...sources, file: runConfigFile(path) });
    const { deriveCommand } = await import("../../run/jobs.ts");
    return deriveCommand({ run: path, epoch: options["epoch"] as number | undefined, reporter });
  },
};
