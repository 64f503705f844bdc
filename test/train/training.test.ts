// Training of a derived network: the published schedules, exact continuation, exact repetition, and that it learns.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { Genotype } from "../../src/genotype/genotype.ts";
import { loadCheckpoint, saveCheckpoint } from "../../src/run/checkpoint.ts";
import { liveTensors, seed } from "../../src/tensor/runtime.ts";
import { scope } from "../../src/tensor/scope.ts";
import { Training } from "../../src/train/training.ts";
import { assertClose } from "../support/assert-close.ts";
import { counted } from "../support/leak-free.ts";
import { fingerprint, fingerprintOf, toyConfig, toyDataset } from "../support/toy-problem.ts";

const folder = mkdtempSync(join(tmpdir(), "darts-training-"));
after(() => rmSync(folder, { recursive: true }));

const dataset = toyDataset({ size: 16 });
const genotype: Genotype = {
  normal: [
    ["sep_conv_3x3", 0],
    ["skip_connect", 1],
    ["dil_conv_3x3", 0],
    ["max_pool_3x3", 2],
  ],
  normalConcat: [2, 3],
  reduce: [
    ["max_pool_3x3", 0],
    ["skip_connect", 1],
    ["avg_pool_3x3", 0],
    ["sep_conv_3x3", 2],
  ],
  reduceConcat: [2, 3],
};
const start = (settings: Readonly<Record<string, unknown>> = {}) =>
  new Training(toyConfig({ "train.dropPath": 0.3, "train.auxiliary": true, ...settings }), genotype, dataset);

test(
  "fused and composite kernels train alike, with the same paths dropped",
  counted(() => {
    const losses = (kernels: string) => {
      using training = start({ kernels });
      training.endEpoch(); // paths are dropped from the second epoch on
      assert.ok(training.network.cells.every((cell) => cell.kernels === kernels));
      return [training.runStep(), training.runStep()];
    };
    assertClose(losses("fused"), losses("composite"), 1e-4, "losses");
  }),
);

test(
  "the learning rate falls by the published cosine and drop-path grows by the published line, epoch by epoch",
  counted(() => {
    using training = start({ "train.learningRate": 0.025, "train.dropPath": 0.2, "train.epochs": 4 });
    const seen: [rate: number, drop: number][] = [];
    while (!training.finished) {
      seen.push([training.learningRate, training.dropPathProbability]);
      training.runStep();
      training.runStep();
      assert.deepEqual([training.learningRate, training.dropPathProbability], seen.at(-1), "within an epoch");
      training.endEpoch();
    }
    // 0.025 · (1 + cos(π·e/4))/2 and 0.2 · e/4: neither end value is reached within the last epoch.
    const half = Math.SQRT1_2 / 2;
    assertClose(
      seen.map(([rate]) => rate),
      [0.025, 0.025 * (0.5 + half), 0.0125, 0.025 * (0.5 - half)],
      1e-12,
      "rate",
    );
    assertClose(
      seen.map(([, drop]) => drop),
      [0, 0.05, 0.1, 0.15],
      1e-12,
      "drop-path",
    );
  }),
);

test(
  "the optimizer steps with the rate of the epoch: weights stand still where the schedule ends at zero",
  counted(() => {
    using training = start({ "train.epochs": 1, "train.learningRateMin": 0 });
    const parameters = new Set([...training.network.namedParameters()].map(([name]) => `weights/${name}`));
    const values = () =>
      Object.entries(fingerprintOf(training, "weights/")).filter(([name]) => parameters.has(name));
    const before = values();
    training.runStep();
    const moved = values();
    assert.notDeepEqual(moved, before);
    training.endEpoch();
    training.runStep();
    assert.deepEqual(values(), moved);
  }),
);

test(
  "a checkpoint taken within an epoch is continued to the very same bytes, drop-path and auxiliary head included",
  counted(() => {
    const path = join(folder, "training.safetensors");
    using training = start();
    for (let epoch = 0; epoch < 2; epoch++) {
      while (training.step < training.stepsPerEpoch) training.runStep();
      training.endEpoch();
    }
    training.runStep();
    assert.ok(training.dropPathProbability > 0, "paths are dropped");
    scope(() => saveCheckpoint(path, training.snapshot()));
    const expected = goOn(training);

    seed(987654);
    using resumed = start();
    scope(() => resumed.restore(loadCheckpoint(path)));
    assert.deepEqual(goOn(resumed), expected);
  }),
);

test(
  "the same seed gives the same bytes, another seed gives others",
  counted(() => {
    const [once, again, other] = [2, 2, 3].map((number) => {
      using training = start({ seed: number });
      training.endEpoch(); // paths are dropped from the second epoch on
      training.runStep();
      training.runStep();
      return fingerprint(training);
    });
    assert.deepEqual(again, once);
    assert.notEqual(other!["weights/classifier.weight"], once!["weights/classifier.weight"]);
    assert.notEqual(other!["optimizer/0.momentum_buffer"], once!["optimizer/0.momentum_buffer"]);
  }),
);

test(
  "30 steps leave as many tensors alive as the first, and dispose leaves none",
  counted(() => {
    using training = start({ "train.epochs": 40 });
    training.runStep();
    const alive = liveTensors();
    for (let i = 1; i < 30; i++) {
      if (training.step === training.stepsPerEpoch) training.endEpoch();
      training.runStep();
    }
    assert.equal(liveTensors(), alive);
  }),
);

test(
  "the loss falls on images that can be told apart",
  counted(() => {
    using training = start({
      "train.dropPath": 0,
      "train.channels": 4,
      "train.epochs": 20,
      "train.cutout": 0,
    });
    const means: number[] = [];
    for (let epoch = 0; epoch < 10; epoch++) {
      while (training.step < training.stepsPerEpoch) training.runStep();
      means.push(training.totals.loss / training.totals.images);
      training.endEpoch();
    }
    assert.ok(
      means.at(-1)! < 0.6 * means[0]!,
      `the loss went ${means.map((mean) => mean.toFixed(3)).join(", ")}`,
    );
  }),
);

test(
  "every image is trained on once in an epoch, also those of a last small batch",
  counted(() => {
    using training = start({ "train.batchSize": 12 });
    assert.equal(training.stepsPerEpoch, 3); // 12 + 12 + 8
    while (training.step < training.stepsPerEpoch) training.runStep();
    assert.equal(training.totals.images, 32);
  }),
);

test(
  "a loss that is no number stops the training with its step and epoch",
  counted(() => {
    using training = start({ "train.learningRate": 1e30, "train.gradClip": 0 });
    const message =
      /training diverged: the loss or its gradient is (NaN|-?Infinity) at step \d of epoch 1, .*train\.learningRate/;
    assert.throws(
      () => {
        while (training.step < 4) training.runStep();
      },
      { name: "UserError", message },
    );
  }),
);

/** The rest of this epoch and half of the next: every loss on the way, and the bytes at its end. */
function goOn(training: Training): unknown {
  const losses: unknown[] = [];
  while (training.step < training.stepsPerEpoch) losses.push(training.runStep());
  losses.push({ ...training.totals });
  training.endEpoch();
  losses.push(training.runStep(), training.runStep());
  return { losses, bytes: fingerprint(training) };
}

test(
  "crops, colours, schedule, warm-up and micro-batches of the configuration reach the training",
  counted(() => {
    const after = (settings: Readonly<Record<string, unknown>>) => {
      using training = start(settings);
      training.runStep();
      training.endEpoch();
      training.runStep(); // of the second epoch: the schedules differ from there on
      return fingerprintOf(training, "weights/");
    };
    const plain = after({});
    assert.deepEqual(after({}), plain);
    for (const settings of [
      { "data.crop": "resized" },
      { "data.colorJitter": 0.4 },
      { "train.schedule": "linear" },
      { "train.schedule": "exponential" },
      { "train.warmup": 3 },
      { "train.microBatch": 4 },
    ])
      assert.notDeepEqual(after(settings), plain, JSON.stringify(settings));
    const [one, other] = [0.9, 0.8].map((decay) =>
      after({ "train.schedule": "exponential", "train.decay": decay }),
    );
    assert.notDeepEqual(one, other);
  }),
);
