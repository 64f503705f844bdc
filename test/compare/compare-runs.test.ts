// Runs beside each other: what is put together, what is told apart, and what a comparison says of real runs.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { sampleOf, welch } from "../../src/compare/statistics.ts";
import { type ConfigInput, compareRuns, defineDataset, register, run, search } from "../../src/index.ts";
import { toyDataset } from "../support/toy-problem.ts";
import { type Fabricated, fabricate } from "./fabricate.ts";

const root = mkdtempSync(join(tmpdir(), "darts-compare-"));
after(() => rmSync(root, { recursive: true }));

let count = 0;
/** A folder of runs `1`, `2`, …, and what they compare to. */
async function compared(...runs: Fabricated[]) {
  const folder = join(root, String(count++));
  const paths = runs.map((what, i) => fabricate(folder, String(i + 1), what));
  return { folder, paths, ...(await compareRuns([folder])) };
}

const random = [0.5, 0.52];
const peakMB = [100, 200];

test("runs that differ in the seed alone are one group, with means and spreads over them", async () => {
  const { groups, differences, notes, paths } = await compared(
    { seed: 1, top1: 0.6, seconds: 10, peakMB: [300, 400], validAccuracy: [0.35, 0.3], random },
    { seed: 2, top1: 0.62, seconds: 30, peakMB: [500, 300], validAccuracy: [0.2, 0.45] },
    { seed: 3, top1: 0.67, seconds: 20, peakMB: [300, 300], cell: "DARTS_V1" },
  );
  assert.equal(groups.length, 1);
  const [group] = groups;
  assert.deepEqual([group!.label, group!.runs, group!.seeds], ["darts", paths, [1, 2, 3]]);
  assert.deepEqual(group!.skips, sampleOf([2, 2, 3])); // of DARTS_V2 and, of the last, DARTS_V1
  assert.deepEqual(group!.searchSeconds, { n: 3, mean: 20, sd: 10 });
  assert.equal(group!.peakMB, 500);
  assert.deepEqual(group!.validAccuracy, sampleOf([0.35, 0.45, 0.4]));
  assert.deepEqual(group!.top1, sampleOf([0.6, 0.62, 0.67]));
  assert.deepEqual([differences, notes], [[], []]);
});

test("the difference from the random cells is Welch's, with p corrected for all groups", async () => {
  const { groups, random: pools } = await compared(
    { seed: 1, top1: 0.6, random },
    { seed: 2, top1: 0.62, random: [0.55] },
    { seed: 1, preset: "pc-darts-quick", top1: 0.5 },
    { seed: 2, preset: "pc-darts-quick", top1: 0.56 },
    { seed: 1, preset: "gdas-quick", top1: 0.5 },
  );
  assert.deepEqual(
    pools.map(({ label, top1, seeds }) => ({ label, top1, seeds })),
    [{ label: "random cells", top1: sampleOf([...random, 0.55]), seeds: [1, 2] }],
  );
  const expected = [sampleOf([0.6, 0.62])!, sampleOf([0.5, 0.56])!].map(
    (top1) => welch(top1, pools[0]!.top1)!,
  );
  assert.deepEqual(
    groups.map(({ label, random: of }) => [label, of]),
    [
      ["darts", "random cells"],
      ["pc-darts", "random cells"],
      ["gdas", "random cells"],
    ],
  );
  const [darts, pcDarts, gdas] = groups.map(({ difference }) => difference);
  assert.deepEqual(darts, { ...expected[0], corrected: Math.min(1, 2 * expected[0]!.p) });
  assert.deepEqual(pcDarts, { ...expected[1], corrected: expected[1]!.p });
  assert.equal(gdas, null);
});

test("a seed's random cells are the same in every run, and count once", async () => {
  const { random: pools, folder } = await compared(
    { seed: 1, random },
    { seed: 1, preset: "pc-darts-quick", random: [0.5] },
    { seed: 2, preset: "i-darts-quick", random: [0.9] },
    { seed: 3, command: "train", cell: null, random: [0.7] },
  );
  assert.equal(pools.length, 1);
  assert.deepEqual(pools[0]!.top1, sampleOf([0.5, 0.52, 0.9, 0.7]));
  assert.deepEqual(
    pools[0]!.runs,
    ["1", "3", "4"].map((name) => join(folder, name)),
  );
});

test("random cells are pooled where they were drawn alike: of as many edges for each node, within the same budget", async () => {
  const snas = { preset: "snas-quick", settings: { "search.options.keep": "every-edge" } };
  const { random: pools, groups } = await compared(
    // Several operations may share an edge with gdas, but no node keeps more than with darts.
    { seed: 1, random: [0.5] },
    { seed: 2, preset: "gdas-quick", random: [0.6] },
    { seed: 3, preset: "i-darts-quick", settings: { "search.options.pairs": 3 }, random: [0.7] },
    { seed: 4, ...snas, random: [0.8] },
    { seed: 5, settings: { "budget.parameters": 60_000 }, random: [0.9] },
  );
  assert.deepEqual(
    pools.map(({ top1, seeds }) => [seeds, top1.mean]),
    [
      [[1, 2], 0.55],
      [[3], 0.7],
      [[4], 0.8],
      [[5], 0.9],
    ],
  );
  assert.deepEqual(
    groups.map(({ random: of }) => of),
    ["random cells 1", "random cells 1", "random cells 2", "random cells 3", "random cells 4"],
  );
});

test("in a space whose first nodes read one state, several operations on an edge make other random cells", async () => {
  const { loadPlugins } = await import("../../src/plugin/load.ts");
  await loadPlugins(["examples/own-space.ts"]);
  const space = { "space.name": "ladder", "space.nodes": 3, "space.stemMultiplier": 2 };
  const { random: pools } = await compared(
    { seed: 1, settings: space, random: [0.5] },
    { seed: 2, preset: "gdas-quick", settings: space, random: [0.6] },
  );
  assert.deepEqual(
    pools.map(({ seeds }) => seeds),
    [[1], [2]],
  );
});

test("runs of other settings are told apart with the keys; what changes no outcome is not a setting", async () => {
  const { groups, differences, notes } = await compared(
    { seed: 1, settings: { threads: 1 }, peakMB },
    { seed: 2, settings: { "search.epochs": 9 }, peakMB },
    { seed: 3, settings: { threads: 2, checkpointSeconds: 5, "train.randomCells": 0 }, peakMB },
  );
  assert.deepEqual(
    groups.map(({ label, seeds }) => [label, seeds]),
    [
      ["darts 1", [1, 3]],
      ["darts 2", [2]],
    ],
  );
  assert.deepEqual(differences, [
    {
      key: "search.epochs",
      training: false,
      values: [
        { value: 4, groups: ["darts 1"] },
        { value: 9, groups: ["darts 2"] },
      ],
    },
  ]);
  assert.deepEqual(notes, [
    "No random cells at equal budget for darts 1, darts 2: no random cell was trained.",
  ]);
});

test("trainings that differ are warned of, and their random cells are not those of the others", async () => {
  const {
    groups,
    random: pools,
    differences,
    notes,
  } = await compared(
    { seed: 1, top1: 0.6, random },
    { seed: 1, preset: "pc-darts-quick", settings: { "train.epochs": 7 }, top1: 0.7, random: [0.6] },
    { seed: 1, preset: "gdas-quick", settings: { "train.cutout": 4 }, top1: 0.7 },
    { seed: 1, preset: "sgas-quick", settings: { "space.nodes": 3 }, top1: 0.7 },
  );
  assert.deepEqual(
    groups.map(({ random: of }) => of),
    ["random cells 1", "random cells 2", null, null],
  );
  assert.deepEqual(
    pools.map(({ label, top1 }) => [label, top1.n]),
    [
      ["random cells 1", 2],
      ["random cells 2", 1],
    ],
  );
  assert.deepEqual(
    differences.filter(({ training }) => training).map(({ key }) => key),
    ["train.epochs", "train.cutout"],
  );
  assert.match(notes.join("\n"), /^Not all were trained alike \(train\.epochs, train\.cutout\)/m);
  assert.match(
    notes.join("\n"),
    /^No random cells at equal budget for gdas, sgas: the random cells were trained or drawn/m,
  );
});

test("an unfinished run counts as far as it has come, and says how far", async () => {
  const { groups, runs, notes } = await compared(
    { seed: 1, top1: 0.6 },
    { seed: 2, until: "search", error: "no space is left" },
    { seed: 3, until: "first epoch" },
    { seed: 4, until: "start" },
    { seed: 5, until: "folder" },
    { seed: 6, until: "training", top1: 0.8, random },
  );
  assert.deepEqual(groups[0]!.seeds, [1, 2, 3, 4, 6]);
  assert.deepEqual([groups[0]!.top1!.n, groups[0]!.skips!.n, groups[0]!.searchSeconds!.n], [2, 3, 3]);
  assert.deepEqual(
    runs.map(({ state }) => state),
    [
      "finished",
      "stopped: no space is left",
      "in the search, epoch 1 of 4",
      "nothing done yet",
      "nothing done yet",
      "after training random-2",
    ],
  );
  assert.deepEqual(runs[2], {
    ...runs[3],
    run: runs[2]!.run,
    seed: 3,
    state: runs[2]!.state,
  });
  assert.equal(notes.filter((note) => /is unfinished \(.*\): it counts as far as/.test(note)).length, 5);
});

test("a run with the settings and the seed of another is its repetition: the finished one counts", async () => {
  const { groups, repeats, notes, paths } = await compared(
    { seed: 1, until: "search" },
    { seed: 1, top1: 0.6 },
    { seed: 2, top1: 0.5 },
  );
  assert.deepEqual(groups[0]!.runs, [paths[1], paths[2]]);
  assert.deepEqual(repeats, [{ run: paths[0], of: paths[1] }]);
  assert.ok(
    notes.includes(`${paths[0]} repeats ${paths[1]}, with the same settings and seed: it is not counted.`),
  );
});

test("a training of a given cell is a group by that cell, whatever the settings of a search say", async () => {
  const { groups, runs } = await compared(
    { seed: 1, command: "train", cell: "DARTS_V1", top1: 0.6, random: [] },
    { seed: 2, command: "train", cell: "DARTS_V1", top1: 0.7, settings: { "search.epochs": 9 } },
    { seed: 1, command: "train", cell: "PC_DARTS_cifar", top1: 0.65 },
  );
  assert.deepEqual(
    groups.map(({ label, top1, searchSeconds }) => [label, top1, searchSeconds]),
    [
      ["cell DARTS_V1", sampleOf([0.6, 0.7]), null],
      ["cell PC_DARTS_cifar", sampleOf([0.65]), null],
    ],
  );
  assert.ok(runs.every(({ params, skips }) => params! > 0 && skips! > 0));
});

test("times of other machines and memory without a peak are noted", async () => {
  const { notes } = await compared({ seed: 1, threads: 1, peakMB: [7, 8] }, { seed: 2, threads: 4 });
  assert.deepEqual(notes.slice(-2), [
    "Memory is the most that was held at the end of an epoch: the logs of some searches tell no peak.",
    "Searches ran on different machines or threads (a processor, 1 thread; a processor, 4 threads): their times do not compare.",
  ]);
});

test("runs are named one by one or by a folder that holds them, and are counted once", async () => {
  const { folder, paths } = await compared({ seed: 1 }, { seed: 2 });
  writeFileSync(join(folder, "1.log"), "");
  const all = await compareRuns([paths[1]!, folder, `${folder}/`]);
  assert.deepEqual(
    all.runs.map(({ run }) => run),
    [paths[1], paths[0]],
  );
  mkdirSync(join(folder, "empty"));
  for (const [names, message] of [
    [[], /^There is nothing to compare: name folders/],
    [[join(folder, "1.log")], /1\.log is not the folder of a run\. Expected folders of runs, or one/],
    [[join(folder, "missing")], /missing is not the folder of a run/],
    [[join(folder, "empty")], /empty holds no runs: expected/],
    [
      [fabricate(folder, "begun", { until: "folder" })],
      /^There is nothing to compare yet\. .*begun is unfinished \(nothing done yet\)/,
    ],
  ] as const)
    await assert.rejects(compareRuns(names), { name: "UserError", message });
});

test("a damaged log is a mistake with its place", async () => {
  const path = fabricate(root, "damaged", { seed: 1 });
  writeFileSync(join(path, "events.jsonl"), "{\n{}\n");
  await assert.rejects(compareRuns([path]), {
    name: "UserError",
    message: /events\.jsonl:1: expected a JSON object/,
  });
});

register(
  defineDataset({ name: "toy", description: "bands", load: () => toyDataset({ channels: 1, images: 24 }) }),
);

test("of real runs it says what their reports say", async () => {
  const settings = (seed: number): ConfigInput => ({
    seed,
    threads: 1,
    data: { name: "toy", cropPadding: 1 },
    space: { nodes: 2, stemMultiplier: 1, primitives: ["none", "skip_connect", "max_pool_3x3"] },
    search: { channels: 2, cells: 3, epochs: 2, batchSize: 4 },
    train: { channels: 2, cells: 3, epochs: 1, batchSize: 8, cutout: 0, auxiliary: false, randomCells: 1 },
  });
  const folder = join(root, "real");
  const reports = [await run(settings(1), { root: folder }), await run(settings(2), { root: folder })];
  const searched = await search(settings(3), { root: folder });
  const { groups, random: pools, runs, notes, differences } = await compareRuns([folder]);
  assert.deepEqual([groups.length, pools.length, differences, notes], [1, 1, [], []]);
  const [group] = groups;
  assert.deepEqual(group!.seeds, [1, 2, 3]);
  assert.deepEqual(group!.top1, sampleOf(reports.map(({ trained }) => trained[0]!.last.top1)));
  assert.deepEqual(pools[0]!.top1, sampleOf(reports.map(({ trained }) => trained[1]!.last.top1)));
  assert.deepEqual(
    group!.searchSeconds,
    sampleOf([...reports, searched].map(({ search: { seconds } }) => seconds)),
  );
  assert.ok(group!.peakMB! > 50);
  assert.deepEqual(
    runs.map(({ genotype }) => genotype),
    [...reports, searched].map(({ search: { genotype } }) => genotype),
  );
});
