// A thousand steps keep the memory of the process flat: nothing is left to the garbage collector's mercy.
import assert from "node:assert/strict";
import { test } from "node:test";
import { randomGenotype } from "../../src/genotype/random.ts";
import { createGenerator } from "../../src/random/generator.ts";
import { Search } from "../../src/search/search.ts";
import { liveTensors } from "../../src/tensor/runtime.ts";
import { Training } from "../../src/train/training.ts";
import { heldMB } from "../support/held-memory.ts";
import { counted } from "../support/leak-free.ts";
import { toyConfig, toyDataset } from "../support/toy-problem.ts";

/** Growth after the first fifth that is not the step's: V8's heap settles, malloc keeps a few pages. */
const SLACK_MB = 12;

const dataset = toyDataset({ size: 16 });
// One edge less would be no search; more of them would only take longer.
const settings = {
  "space.nodes": 1,
  "space.primitives": ["none", "skip_connect", "sep_conv_3x3", "max_pool_3x3"],
  "search.cells": 2,
  "train.cells": 2,
  "train.dropPath": 0.2,
};

for (const [order, steps] of [
  ["first", 1000],
  ["second", 500],
] as const) {
  test(
    `${steps} search steps of order "${order}" keep the memory flat`,
    counted(() => {
      using search = new Search(
        toyConfig({ ...settings, "search.order": order, "search.epochs": 1000 }),
        dataset,
      );
      assertFlat(steps, () => {
        if (search.step === search.stepsPerEpoch) search.endEpoch(search.validate());
        search.runStep();
      });
    }),
  );
}

test(
  "1000 training steps with drop-path and auxiliary head keep the memory flat",
  counted(() => {
    const config = toyConfig({ ...settings, "train.epochs": 1000 });
    using training = new Training(config, randomGenotype(createGenerator(1), config.space), dataset);
    assertFlat(1000, () => {
      if (training.step === training.stepsPerEpoch) training.endEpoch();
      training.runStep();
    });
  }),
);

/** Runs `step` so often; memory and live tensors after the last are those after the first fifth. */
function assertFlat(steps: number, step: () => void): void {
  let alive = 0;
  let megabytes = 0;
  for (let i = 1; i <= steps; i++) {
    step();
    if (i === steps / 5) [alive, megabytes] = [liveTensors(), heldMB()];
  }
  assert.equal(liveTensors(), alive, "live tensors");
  const growth = heldMB() - megabytes;
  assert.ok(growth < SLACK_MB, `the process grew by ${growth.toFixed(1)} MB, allowed are ${SLACK_MB}`);
}
