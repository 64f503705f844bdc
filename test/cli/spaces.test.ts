// Search spaces by the real command: NAS-Bench-201's, and the one of the example plugin, from search to test and back.
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { commandLine } from "./command-line.ts";
import { writeTinyImages } from "./tiny-run.ts";

const LADDER = fileURLToPath(new URL("../../../examples/own-space.ts", import.meta.url));
const CELL =
  "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|";
const { folder, darts, remove } = commandLine();
after(remove);

const settings = (space: string, more = "") => `
threads: 1
data: { name: folder, path: images, cropPadding: 1 }
space: { name: ${space} }
search: { channels: 4, cells: 5, epochs: 2, batchSize: 8, archLearningRate: 0.05 }
train: { channels: 4, cells: 5, epochs: 1, batchSize: 8, cutout: 2, auxiliary: false }
${more}`;

before(() => {
  writeTinyImages(join(folder, "images"));
  writeFileSync(join(folder, "bench.yaml"), settings("nas-bench-201"));
  writeFileSync(join(folder, "ladder.yaml"), settings("ladder", `plugin: ["${LADDER}"]`));
});

function ok(args: string[]): string {
  const { code, stdout, stderr } = darts(args);
  assert.equal(code, 0, stderr);
  return stdout;
}

const json = (args: string[]) => JSON.parse(ok([...args, "--json"])) as Record<string, unknown>;

for (const [space, text] of [
  ["nas-bench-201", /^\|.*~0\|\+\|.*~0\|.*~1\|\+\|.*~0\|.*~1\|.*~2\|\n$/],
  [
    "ladder",
    /^Genotype\(space='ladder', normal=\[\[\('\w+', 0\)\], .*\]\], normal_concat=range\(1, 4\), reduce=\[\], reduce_concat=\[\]\)\n$/,
  ],
] as const) {
  const config = space === "ladder" ? "ladder.yaml" : "bench.yaml";
  const run = (name: string) => join(folder, "runs", name);

  test(`${space}: a run searches, trains the found and a random cell, and its folder holds both`, () => {
    const report = json(["run", "--config", config, "--name", space]) as {
      search: { genotype: { space: string } };
      trained: { cell: string; params: number; genotype: { space: string } }[];
    };
    assert.equal(report.search.genotype.space, space);
    assert.deepEqual(
      report.trained.map(({ cell, genotype }) => [cell, genotype.space]),
      [
        ["found", space],
        ["random-1", space],
      ],
    );
    assert.match(readFileSync(join(run(space), "genotype.txt"), "utf8"), text);
    assert.match(readFileSync(join(run(space), "normal.svg"), "utf8"), /^<svg/);
    assert.ok(!existsSync(join(run(space), "reduce.svg")));
    // As it was trained: show counts the same network from the folder, from the text and from the file.
    const shape = ["--channels", "4", "--cells", "5", "--classes", "3"];
    const written = readFileSync(join(run(space), "genotype.txt"), "utf8").trim();
    const plugins = space === "ladder" ? ["--plugin", LADDER] : [];
    for (const source of [run(space), written, join(run(space), "genotype.json")])
      assert.equal(json(["show", source, ...shape, ...plugins])["params"], report.trained[0]!.params);
  });

  test(`${space}: the run's cell is tested, derived, compared and trained again; a plan forecasts it`, () => {
    assert.equal(json(["test", run(space)])["cell"], "found");
    assert.match(ok(["derive", run(space), "--epoch", "0"]), /cell\nnode 0 = .*\(c_\{k-1\}\)/);
    assert.equal(json(["diff", run(space), run(space)])["same"], true);
    const again = json(["train", run(space), "--name", `${space}-again`]) as {
      trained: { genotype: { space: string } }[];
    };
    assert.equal(again.trained[0]!.genotype.space, space);
    const plan = json(["plan", "--config", config, "--steps", "0"]) as {
      parts: { phase: string; peakBytes: number }[];
    };
    assert.deepEqual(
      plan.parts.map(({ phase, peakBytes }) => [phase, peakBytes > 0]),
      [
        ["search", true],
        ["training", true],
      ],
    );
  });
}

test("a cell of NAS-Bench-201 is trained from its text, whatever space the settings name", () => {
  writeFileSync(join(folder, "plain.yaml"), settings("darts"));
  const { trained } = json(["train", CELL, "--config", "plain.yaml", "--name", "text"]) as {
    trained: { params: number }[];
  };
  const shape = ["--channels", "4", "--cells", "5", "--classes", "3"];
  assert.equal(json(["show", CELL, ...shape])["params"], trained[0]!.params);
});

test("mistakes about spaces end in a sentence", () => {
  const refused = (args: string[], message: RegExp) => {
    const { code, stderr } = darts(args);
    assert.equal(code, 2);
    assert.match(stderr, message);
  };
  refused(
    ["search", "--config", "bench.yaml", "--space-name", "nas-bench-20"],
    /space\.name: expected one of: darts, s1, .*, got the text "nas-bench-20"\. Did you mean nas-bench-201\?/,
  );
  refused(
    ["search", "--config", "bench.yaml", "--space-name", "ladder"],
    /A plugin's spaces come with --plugin FILE/,
  );
  refused(["search", "--config", "bench.yaml", "--search-method", "sgas"], /two edges each node keeps/);
  refused(["search", "--config", "bench.yaml", "--kernels", "fused"], /kernels is fused, but/);
  refused(["search", "--config", "bench.yaml", "--storage", "bf16"], /storage is bf16, but/);
  refused(["show", "|none~0|+|none~0|"], /got 2 nodes/);
  refused(["diff", "DARTS_V2", CELL], /a cell of the space darts .* a cell of the space nas-bench-201/);
});
