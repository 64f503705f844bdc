// `darts test`: measures a trained network of a run on the test images again.
import { type Command, oneOf } from "../command.ts";

/** How images other than the run's own are made alike to them. */
const IMAGE_KEYS = ["data.imageSize", "data.imageWidth", "data.channels"];

/** The command. */
export const test: Command = {
  name: "test",
  summary: "measure a trained network of a run on the test images",
  arguments: [{ usage: "<run>", description: "folder of a run that has trained" }],
  options: [
    { usage: "--cell <name>", description: "which network of the run: found, random-1, …", default: "found" },
    {
      usage: "--checkpoint <best|last>",
      description: "which state of it",
      default: "last",
      parse: oneOf("--checkpoint", ["best", "last"]),
    },
    {
      usage: "--weights <file>",
      description: "weights from a safetensors file instead, such as PyTorch writes for the same cell",
    },
  ],
  // The rest of the configuration is the run's own: changing it would measure another network.
  configKeys: ["plugin", "device", "threads", "data.path", "data.testImages", ...IMAGE_KEYS],
  interruptible: true,
  whenInterrupted: "stopping",
  examples: [["darts test runs/first --checkpoint best", "top-1 and top-5 of its best state"]],
  async action({ args, options, sources, reporter, signal }) {
    const [{ loadConfig }, { runConfigFile }] = await Promise.all([
      import("../../plugin/config.ts"),
      import("../../run/run-folder.ts"),
    ]);
    const path = args[0]!;
    const config = await loadConfig({ ...sources, file: runConfigFile(path) });
    const { testCommand } = await import("../../run/jobs.ts");
    const { cell, checkpoint, weights } = options as {
      cell: string;
      checkpoint: "best" | "last";
      weights?: string;
    };
    return testCommand(config, { run: path, cell, checkpoint, weights, reporter, signal });
  },
};
