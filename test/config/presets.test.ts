// The published presets: every value has its source, and none is missing.
import assert from "node:assert/strict";
import { test } from "node:test";
import { valueAt } from "../../src/config/format.ts";
import { configKeys } from "../../src/config/keys.ts";
import { resolveConfig } from "../../src/config/load.ts";
import { PRESETS } from "../../src/config/presets.ts";

/** Keys that no publication has: those of this machine, of our comparison, and where the images are. */
const OURS = [
  "device",
  "memoryLimit",
  "plugin",
  "checkpointSeconds",
  "threads",
  "kernels",
  "recompute",
  "data.path",
  "data.imageSize",
  "data.imageWidth",
  "data.channels",
  "data.testShare",
  "data.splitSeed",
  "search.trainImages",
  "train.randomCells",
  "guard.action",
  "guard.skips",
  "guard.entropy",
  "guard.eigenvalueGrowth",
  "guard.eigenvalueEvery",
  "guard.hessian",
  "budget.multiplyAdds",
  "budget.parameters",
  "budget.strength",
];

test("paper and code give a value and its source for every key that publications have", () => {
  const decay = "train.decay"; // of the exponential schedule alone
  for (const name of ["paper", "code"]) {
    const missing = configKeys()
      .map(({ path }) => path)
      .filter((path) => !PRESETS[name]!.sources[path]);
    assert.deepEqual(missing.sort(), [...OURS, decay].sort(), name);
  }
});

for (const { name, sources } of Object.values(PRESETS)) {
  test(`preset ${name}: each source belongs to a key that the preset sets`, () => {
    const { settings } = PRESETS[name]!;
    const config = resolveConfig({ preset: name });
    for (const [path, source] of Object.entries(sources)) {
      assert.ok(source.length > 3, path);
      const [first, second] = path.split(".") as [string, string?];
      const written = (settings as Record<string, Record<string, unknown>>)[first];
      assert.deepEqual(second === undefined ? written : written![second], valueAt(config, path), path);
    }
  });
}

test("the values that every re-implementation quotes are there", () => {
  const [paper, code, imagenet] = ["paper", "code", "imagenet"].map((preset) => resolveConfig({ preset }));
  assert.deepEqual([paper!.search.learningRateMin, code!.search.learningRateMin], [0, 0.001]);
  assert.deepEqual([paper!.train.dropPath, paper!.train.epochs, paper!.train.batchSize], [0.2, 600, 96]);
  const { channels, cells, epochs, batchSize, learningRate, decay, weightDecay, labelSmoothing } =
    imagenet!.train;
  assert.deepEqual(
    [channels, cells, epochs, batchSize, learningRate, decay, weightDecay, labelSmoothing],
    [48, 14, 250, 128, 0.1, 0.97, 3e-5, 0.1],
  );
});
