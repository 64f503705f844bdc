// `darts show`: draws a genotype and counts its network, without libtorch.
import { basename, extname, join } from "node:path";
import type { Genotype } from "../../genotype/genotype.ts";
import { type Command, type Outcome, wholeNumber } from "../command.ts";

interface ShowOptions {
  readonly channels?: number;
  readonly cells?: number;
  readonly classes?: number;
  readonly imagenet?: boolean;
  readonly alphas?: boolean;
  readonly out: string;
  readonly json?: boolean;
}

/** The command. */
export const show: Command = {
  name: "show",
  summary: "draw a genotype and count its parameters and multiply-adds",
  arguments: [
    {
      usage: "<genotype>",
      description: "published name, genotype text or file, run folder, or - for standard input",
    },
  ],
  options: [
    {
      usage: "--channels <integer>",
      description:
        "channels of the first cell (default: as its space is published: 36 in DARTS', 48 with --imagenet; 16 in nas-bench-201)",
      parse: wholeNumber("--channels", 1),
    },
    {
      usage: "--cells <integer>",
      description:
        "cells of the network (default: as its space is published: 20 in DARTS', 14 with --imagenet; 17 in nas-bench-201)",
      parse: wholeNumber("--cells", 1),
    },
    {
      usage: "--classes <integer>",
      description: "classes (default: 10; 1000 with --imagenet)",
      parse: wholeNumber("--classes", 1),
    },
    {
      usage: "--imagenet",
      description: "count for 224 x 224 images with the ImageNet stem, not for 32 x 32",
    },
    {
      usage: "--plugin <file>",
      description: "TypeScript file that adds operations of the genotype; repeatable",
      repeatable: true,
      parse: (file, before) => [...((before as readonly string[] | undefined) ?? []), file],
    },
    {
      usage: "--alphas",
      description: "draw how a run's alphas (and betas) went over its epochs, not its cell",
    },
    { usage: "--out <folder>", description: "folder that the SVG drawings go to", default: "." },
  ],
  examples: [
    ["darts show DARTS_V2", "a published cell, by name"],
    ["darts show runs/first --out drawings", "the cell of a run"],
    ["darts show runs/first --alphas", "how its alphas went, also while it searches"],
    ["darts show DARTS_V2 --imagenet --json", "counts for a script"],
  ],
  async action({ args, options }) {
    const source = args[0]!;
    const { plugin } = options as { plugin?: readonly string[] };
    if (plugin) {
      const { loadPlugins } = await import("../../plugin/load.ts");
      await loadPlugins(plugin);
    }
    const shape = options as unknown as ShowOptions;
    if (shape.alphas) return drawAlphas(source, shape);
    const { readGenotypeSource } = await import("../../run/genotype-source.ts");
    const genotype = await readGenotypeSource(source);
    return shape.json ? { json: await count(genotype, shape), text: "" } : draw(source, genotype, shape);
  },
};

async function drawAlphas(source: string, { out, json }: ShowOptions): Promise<Outcome> {
  const [{ loadConfig }, { openRun, runConfigFile }, { requireAlphas }, { makeFolder, writeAtomic }] =
    await Promise.all([
      import("../../plugin/config.ts"),
      import("../../run/run-folder.ts"),
      import("../../run/alphas-drawing.ts"),
      import("../../files.ts"),
    ]);
  await loadConfig({ file: runConfigFile(source) }); // its plugins
  const { svg, epochs, last } = requireAlphas(openRun(source));
  const file = join(out, `${labelOf(source)}-alphas.svg`);
  if (!json) {
    makeFolder(out);
    writeAtomic(file, svg);
  }
  return { json: { epochs, ...last }, text: `The alphas of ${epochs} epochs are drawn in ${file}.` };
}

async function count(genotype: Genotype, options: ShowOptions) {
  const [{ countNetwork }, { DARTS_SPACE, findSpace }] = await Promise.all([
    import("../../genotype/counts.ts"),
    import("../../space/spaces.ts"),
  ]);
  const { imagenet = false } = options;
  const space = findSpace(genotype.space ?? DARTS_SPACE.name);
  const published = imagenet && space === DARTS_SPACE ? { channels: 48, cells: 14 } : space.evaluation;
  const { channels = published.channels, cells = published.cells, classes = imagenet ? 1000 : 10 } = options;
  const { params, paramsWithAux, macs } = countNetwork(genotype, {
    channels,
    cells,
    classes,
    imageSize: imagenet ? 224 : 32,
    imageChannels: 3,
    stem: imagenet ? "imagenet" : "cifar",
  });
  return {
    ...(genotype.space && { space: genotype.space }),
    network: { channels, cells, classes },
    normal: genotype.normal,
    reduce: genotype.reduce,
    params,
    paramsWithAux,
    macs,
  };
}

async function draw(source: string, genotype: Genotype, options: ShowOptions): Promise<Outcome> {
  const [{ cellsOf, drawCellSvg, drawCellText }, { formatGenotype }, { makeFolder, writeAtomic }] =
    await Promise.all([
      import("../../genotype/draw.ts"),
      import("../../genotype/parse.ts"),
      import("../../files.ts"),
    ]);
  const json = await count(genotype, options);
  const label = labelOf(source);
  makeFolder(options.out);
  const sections: string[] = [];
  for (const { kind, name, edges, concat, inputs } of cellsOf(genotype)) {
    const file = join(options.out, `${label}-${kind}.svg`);
    writeAtomic(file, await drawCellSvg(edges, concat, `${label}, ${name}`, inputs));
    sections.push(`${name} (drawn in ${file})\n${drawCellText(edges, concat, { inputs })}`);
  }
  const number = (value: number) => value.toLocaleString("en-US");
  const { cells, channels, classes } = json.network;
  const counts = [
    `network         ${cells} cells of ${channels} channels, ${classes} classes`,
    `parameters      ${number(json.params)} (${number(json.paramsWithAux)} with the auxiliary head)`,
    `multiply-adds   ${number(json.macs)} per image`,
  ];
  return { json, text: [...sections, formatGenotype(genotype), counts.join("\n")].join("\n\n") };
}

/** What the drawings are called after: the name, or the file's or folder's own. */
function labelOf(source: string): string {
  if (source === "-") return "genotype";
  const name = /[({[|]/.test(source) ? "genotype" : basename(source, extname(source));
  return name.replace(/[^\w.-]/g, "_") || "genotype";
}
