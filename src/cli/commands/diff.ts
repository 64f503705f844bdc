// `darts diff`: which settings and which edges differ between two runs, presets, files or published cells.
import { existsSync } from "node:fs";
import { extname } from "node:path";
import type { Config } from "../../config/schema.ts";
import { UserError } from "../../errors.ts";
import type { EdgeDifference } from "../../genotype/difference.ts";
import type { Genotype } from "../../genotype/genotype.ts";
import type { Command, Outcome } from "../command.ts";

const ANYTHING = "run folder, preset, configuration file (.yaml, .yml), genotype file, or published cell";

/** The command. */
export const diff: Command = {
  name: "diff",
  summary: "show which settings and which edges differ; exit code 0: none, 1: some, 2: a mistake",
  arguments: [
    { usage: "<a>", description: ANYTHING },
    { usage: "<b>", description: ANYTHING },
  ],
  examples: [
    ["darts diff paper code", "where the paper and its released code differ"],
    ["darts diff runs/first gdas-quick", "what was set in a run beside a method's preset"],
    ["darts diff runs/first runs/second", "settings and cells of two runs"],
    ["darts diff runs/first DARTS_V2", "a found cell and a published one"],
  ],
  async action({ args }) {
    const [a, b] = [await read(args[0]!), await read(args[1]!)];
    return compare(a, b);
  },
};

/** What a word on the command line stands for: settings, a cell, or both. */
interface Subject {
  readonly name: string;
  readonly config?: Config;
  readonly genotype?: Genotype;
}

async function read(name: string): Promise<Subject> {
  const [{ isFolder }, { allPresets }, { resolveConfig }, { loadConfig }] = await Promise.all([
    import("../../files.ts"),
    import("../../config/presets.ts"),
    import("../../config/load.ts"),
    import("../../plugin/config.ts"),
  ]);
  if (isFolder(name)) return readRun(name);
  if (existsSync(name)) {
    if ([".yaml", ".yml"].includes(extname(name))) return { name, config: await loadConfig({ file: name }) };
    return { name, genotype: await readGenotype(name) };
  }
  const presets = allPresets();
  if (Object.hasOwn(presets, name)) return { name, config: resolveConfig({ preset: name }) };
  try {
    return { name, genotype: await readGenotype(name) };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(`${error.message} Presets: ${Object.keys(presets).join(", ")}.`);
  }
}

async function readRun(name: string): Promise<Subject> {
  const [{ openRun, runConfigFile }, { loadConfig }] = await Promise.all([
    import("../../run/run-folder.ts"),
    import("../../plugin/config.ts"),
  ]);
  await loadConfig({ file: runConfigFile(name) }); // its plugins, before its settings are checked
  const { config, files } = openRun(name);
  return { name, config, ...(existsSync(files.genotype) && { genotype: await readGenotype(name) }) };
}

async function readGenotype(name: string): Promise<Genotype> {
  const { readGenotypeSource } = await import("../../run/genotype-source.ts");
  return readGenotypeSource(name);
}

async function compare(a: Subject, b: Subject): Promise<Outcome> {
  const [{ diffConfigs }, { diffConcats, diffEdges }, { findSpace }] = await Promise.all([
    import("../../config/format.ts"),
    import("../../genotype/difference.ts"),
    import("../../space/spaces.ts"),
  ]);
  const settings =
    a.config && b.config
      ? diffConfigs(a.config, b.config).map(({ key, value, reference }) => ({ key, a: value, b: reference }))
      : null;
  const cells =
    a.genotype && b.genotype && a.genotype.space === b.genotype.space
      ? { edges: diffEdges(a.genotype, b.genotype), concats: diffConcats(a.genotype, b.genotype) }
      : null;
  if (!settings && !cells) {
    const cellOf = ({ space = "darts" }: Genotype) => `a cell of the space ${space}`;
    const kind = ({ config, genotype }: Subject) =>
      config ? "settings" : genotype ? cellOf(genotype) : "nothing";
    throw new UserError(
      `${a.name} holds ${kind(a)} and ${b.name} ${kind(b)}: there is nothing to compare. Name two that hold the same.`,
    );
  }
  const { inputs } = findSpace(a.genotype?.space ?? "darts").skeleton;
  const lines = [
    ...(settings ?? []).map(({ key, a: ours, b: theirs }) => [key, show(ours), show(theirs)]),
    ...(cells?.edges ?? []).map((edge) => [
      placeOf(edge, inputs),
      edge.a.join(" + ") || "–",
      edge.b.join(" + ") || "–",
    ]),
    ...(cells?.concats ?? []).map((concat) => [`${concat.cell} concat`, concat.a.join(), concat.b.join()]),
  ];
  const same = lines.length === 0;
  const what = [...(settings ? ["settings"] : []), ...(cells ? ["cells"] : [])].join(" and ");
  return {
    json: { a: a.name, b: b.name, same, settings, cells },
    text: same ? `The same ${what}.` : columns([["", a.name, b.name], ...lines]),
    exitCode: same ? 0 : 1,
  };
}

function placeOf({ cell, node, predecessor }: EdgeDifference, inputs: number): string {
  const from = predecessor < inputs ? `c_{k-${inputs - predecessor}}` : `node ${predecessor - inputs}`;
  return `${cell} ${from} → node ${node}`;
}

function show(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function columns(rows: readonly (readonly string[])[]): string {
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map(([place, a, b]) => `${place!.padEnd(widths[0]!)}  ${a!.padEnd(widths[1]!)}  ${b}`)
    .join("\n");
}
