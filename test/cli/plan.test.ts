// `darts plan` and `darts diff` by the real command.
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { writeToyImages } from "../support/toy-images.ts";
import { commandLine } from "./command-line.ts";

const { folder, darts, remove } = commandLine();
after(remove);

before(() => {
  writeToyImages(join(folder, "images"));
  writeFileSync(
    join(folder, "tiny.yaml"),
    `threads: 1
data: { name: folder, path: images }
space: { nodes: 2, primitives: [none, skip_connect, sep_conv_3x3] }
search: { channels: 2, cells: 3, epochs: 2, batchSize: 8 }
train: { channels: 2, cells: 3, epochs: 2, batchSize: 8 }
`,
  );
  writeFileSync(join(folder, "other.yaml"), "search: { epochs: 3 }\n");
});

const TINY = ["--config", "tiny.yaml"];

test("plan prints parts, peak and times, makes no run folder, and --steps 0 leaves the times out", () => {
  const { code, stdout } = darts(["plan", ...TINY, "--json"]);
  assert.equal(code, 0);
  const plan = JSON.parse(stdout) as {
    parts: { phase: string; params: number; seconds: { total: number } | null }[];
    peakBytes: number;
    totalSeconds: number;
  };
  assert.deepEqual(
    plan.parts.map(({ phase }) => phase),
    ["search", "training"],
  );
  assert.ok(plan.peakBytes > 2 ** 26 && plan.totalSeconds > 0);
  assert.ok(plan.parts.every(({ params, seconds }) => params > 0 && seconds!.total > 0));
  const cell = darts(["plan", "DARTS_V2", ...TINY, "--steps", "0"]);
  assert.match(cell.stdout, /^training: [\d,]+ parameters · .* MB of memory\nwhole: peak [^,]* MB of /);
  assert.doesNotMatch(cell.stdout, / a step/);
  assert.throws(() => mkdirSync(join(folder, "runs", "x")), /ENOENT/, "there is no folder of runs");
});

test("a run that cannot fit is refused before it has a folder, with exit code 2", () => {
  const { code, stdout, stderr } = darts(["search", ...TINY, "--memory-limit", "50", "--name", "large"]);
  assert.match(stderr, /darts: The search needs about \d+ MB of memory, but there are 50 MB \(memoryLimit\)/);
  assert.deepEqual({ code, stdout }, { code: 2, stdout: "" });
  assert.throws(() => mkdirSync(join(folder, "runs", "large", "x")), /ENOENT/);
});

test("a run says its plan before it starts", () => {
  const { code, stderr } = darts(["search", ...TINY, "--name", "planned"]);
  assert.equal(code, 0);
  assert.match(stderr, /search: [\d,]+ parameters · 2 epochs of 3 steps of 8 images[\s\S]*Run folder: /);
});

test("diff tells differing settings and edges, by exit code too", () => {
  const presets = darts(["diff", "paper", "code", "--json"]);
  assert.equal(presets.code, 1);
  assert.deepEqual(JSON.parse(presets.stdout), {
    a: "paper",
    b: "code",
    same: false,
    settings: [{ key: "search.learningRateMin", a: 0, b: 0.001 }],
    cells: null,
  });
  const methods = JSON.parse(darts(["diff", "darts-quick", "gdas-quick", "--json"]).stdout);
  assert.ok(
    methods.settings.some(
      ({ key, b }: { key: string; b: unknown }) => key === "search.method" && b === "gdas",
    ),
  );
  const same = darts(["diff", "DARTS_V2", "DARTS_V2"]);
  assert.deepEqual([same.code, same.stdout], [0, "The same cells.\n"]);
  const file = darts(["diff", "code", "other.yaml"]);
  assert.deepEqual([file.code, file.stdout.split("\n")[1]!.split(/ +/)], [1, ["search.epochs", "50", "3"]]);
  const run = JSON.parse(darts(["diff", "runs/planned", "DARTS_V2", "--json"]).stdout);
  assert.equal(run.settings, null);
  assert.ok(run.cells.edges.length > 0);
  const runs = JSON.parse(darts(["diff", "runs/planned", "runs/planned", "--json"]).stdout);
  assert.deepEqual(runs.settings, []);
  assert.deepEqual(runs.cells, { edges: [], concats: [] });
});

test("diff refuses what it cannot read or compare, with exit code 2", () => {
  for (const [a, b, message] of [
    [
      "paper",
      "DARTS_V2",
      /paper holds settings and DARTS_V2 a cell of the space darts: there is nothing to compare/,
    ],
    ["papr", "code", /papr.*Presets: quick, paper, code/],
    ["images", "code", /images/],
  ] as const) {
    const { code, stdout, stderr } = darts(["diff", a, b]);
    assert.match(stderr, message);
    assert.deepEqual({ code, stdout }, { code: 2, stdout: "" });
  }
});
