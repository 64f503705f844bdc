// The published presets: every value has its source, and none is missing.
import assert from "node:assert/strict";
import { test } from "node:test";
import { valueAt } from "../../src/config/format.ts";
import { configKeys } from "../../src/config/keys.ts";
import { resolveConfig } from "../../src/config/load.ts";
import { PRESETS } from "../../src/config/presets.ts";
import { declaredMethods } from "../../src/methods/table.ts";

/** Keys that no publication has: those of this machine, of our comparison, and where the images are. */
const OURS = [
  "device",
  "memoryLimit",
  "plugin",
  "checkpointSeconds",
  "threads",
  "deterministic",
  "kernels",
  "recompute",
  "storage",
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

/** Searches on CIFAR-10 as the methods' released code has them. */
const SEARCHES: Readonly<Record<string, readonly unknown[]>> = {
  //          cells, batch, epochs, rate, last rate, rate of the alphas, from epoch, clipped to, none
  darts: [8, 64, 50, 0.025, 0, 3e-4, 0, 0, true],
  "one-level": [8, 64, 50, 0.025, 0, 3e-4, 0, 0, true],
  "i-darts": [8, 64, 50, 0.025, 0, 3e-4, 0, 0, false],
  "pc-darts": [8, 256, 50, 0.1, 0, 6e-4, 15, 0, true],
  "p-darts": [5, 96, 75, 0.025, 0, 6e-4, 10, 5, true],
  gdas: [6, 256, 250, 0.025, 0.001, 3e-4, 0, 0, true],
  snas: [8, 64, 150, 0.025, 0.001, 3e-4, 0, 10, true],
  sgas: [8, 64, 50, 0.025, 0.001, 3e-4, 0, 0, true],
  "sdarts-rs": [8, 64, 50, 0.025, 0.001, 3e-4, 0, 0, false],
  "sdarts-adv": [8, 64, 50, 0.025, 0.001, 3e-4, 0, 0, false],
  "r-darts": [8, 64, 50, 0.025, 0.001, 3e-4, 0, 0, true],
};
/** What of the evaluation is not as in DARTS: 20 cells of 36 channels, 600 epochs of batches of 96, drop-path of 0.2. */
const TRAININGS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  "pc-darts": { dropPath: 0.3 },
  "p-darts": { batchSize: 128, dropPath: 0.3 },
  gdas: { epochs: 300, warmup: 5, weightDecay: 5e-4 },
  "r-darts": { channels: 16, cells: 8 },
};

test("the methods' searches and trainings are those of their references", () => {
  for (const { name } of declaredMethods()) {
    const { search, space, train } = resolveConfig({ preset: name });
    if (name !== "random") {
      const { channels, cells, batchSize, epochs, learningRate, learningRateMin } = search;
      const { archLearningRate, archFromEpoch, archGradClip } = search;
      const own = [cells, batchSize, epochs, learningRate, learningRateMin, archLearningRate, archFromEpoch];
      assert.deepEqual([...own, archGradClip, space.primitives.includes("none")], SEARCHES[name], name);
      const { momentum, nesterov, weightDecay, gradClip, archBeta1, archBeta2, archWeightDecay } = search;
      assert.deepEqual(
        [channels, momentum, gradClip, archBeta1, archBeta2, archWeightDecay, search.cutout],
        [16, 0.9, 5, 0.5, 0.999, 1e-3, 0],
        name,
      );
      assert.deepEqual([nesterov, weightDecay], name === "gdas" ? [true, 5e-4] : [false, 3e-4], name);
    }
    assert.deepEqual(train, { ...resolveConfig({ preset: "paper" }).train, ...TRAININGS[name] }, name);
  }
});
