// `darts init`: looks at a folder of images and writes settings for them, with reasons.
import { existsSync } from "node:fs";
import { UserError } from "../../errors.ts";
import type { Command } from "../command.ts";

/** The command. */
export const init: Command = {
  name: "init",
  summary: "look at a folder of images and write a commented configuration for them",
  arguments: [{ usage: "<folder>", description: "images: train/<class>/* and test/<class>/*, or <class>/*" }],
  options: [{ usage: "--out <file>", description: "where the configuration goes", default: "darts.yaml" }],
  examples: [["darts init my-images && darts run --config darts.yaml", "the whole job on your own images"]],
  async action({ args, options, reporter }) {
    const path = args[0]!;
    const out = options["out"] as string;
    // Before the look at what may be many thousand files.
    if (existsSync(out)) {
      throw new UserError(
        `${out} is already there. Nothing is overwritten: choose another --out, or move it away.`,
      );
    }
    const [{ inspectImages }, { suggestConfig }, { resolveConfig }, { writeAtomic }] = await Promise.all([
      import("../../library/inspect-images.ts"),
      import("../../library/suggest-config.ts"),
      import("../../config/load.ts"),
      import("../../files.ts"),
    ]);
    const images = inspectImages(path, reporter.log);
    writeAtomic(out, suggestConfig(images));
    const { data, search, train } = resolveConfig({ file: out });
    const count = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);
    return {
      json: { config: out, images },
      text:
        `${images.classes.length} classes, ${count(images.train)} + ${count(images.test)} images. Wrote ${out}: ` +
        `size ${data.imageSize === null ? "as it is" : `${data.imageSize}×${data.imageWidth ?? data.imageSize}`}, ` +
        `${search.epochs} epochs of search, ${train.epochs} of training.\nRead it, then: darts run --config ${out}`,
    };
  },
};
