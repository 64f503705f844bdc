// Ten thousand steps (SOAK_STEPS) of a search and of a training keep the memory of the process flat, with the log and
// the health rules that a run has.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { randomGenotype } from "../../src/genotype/random.ts";
import { createGenerator } from "../../src/random/generator.ts";
import { type EventLog, openEvents } from "../../src/run/events.ts";
import { watchHealth } from "../../src/run/health.ts";
import { Search } from "../../src/search/search.ts";
import { liveTensors } from "../../src/tensor/runtime.ts";
import { Training } from "../../src/train/training.ts";
import { heldMB } from "../support/held-memory.ts";
import { counted } from "../support/leak-free.ts";
import { toyConfig, toyDataset } from "../support/toy-problem.ts";

const STEPS = Number(process.env["SOAK_STEPS"] ?? 10_000);
/** Growth after the first fifth that is not the step's: malloc keeps a few pages. */
const SLACK_MB = 12;

const folder = mkdtempSync(join(tmpdir(), "darts-soak-"));
after(() => rmSync(folder, { recursive: true }));
const dataset = toyDataset({ size: 16 });
const settings = {
  "space.nodes": 1,
  "space.primitives": ["none", "skip_connect", "sep_conv_3x3", "max_pool_3x3"],
  "search.cells": 2,
  "train.cells": 2,
  "train.dropPath": 0.2,
  "search.epochs": 1_000_000,
  "train.epochs": 1_000_000,
};

test(
  `${STEPS} search steps keep the memory flat`,
  counted(() => {
    using search = new Search(toyConfig(settings), dataset);
    assertFlat("search", (log) => {
      if (search.step === search.stepsPerEpoch) search.endEpoch(search.validate());
      const { epoch, step, stepsPerEpoch: steps, learningRate } = search;
      const { trainLoss, archLoss = null } = search.runStep();
      log.append({
        type: "search-step",
        epoch,
        step,
        steps,
        trainLoss,
        validLoss: archLoss,
        learningRate,
        ms: 0,
      });
    });
  }),
);

test(
  `${STEPS} training steps keep the memory flat`,
  counted(() => {
    const config = toyConfig(settings);
    using training = new Training(config, randomGenotype(createGenerator(1), config.space), dataset);
    assertFlat("training", (log) => {
      if (training.step === training.stepsPerEpoch) training.endEpoch();
      const { epoch, step, stepsPerEpoch: steps, learningRate } = training;
      const trainLoss = training.runStep();
      log.append({ type: "train-step", cell: "found", epoch, step, steps, trainLoss, learningRate, ms: 0 });
    });
  }),
);

function assertFlat(name: string, step: (log: EventLog) => void): void {
  const log = watchHealth(openEvents(join(folder, `${name}.jsonl`), { pieceBytes: 2 ** 18 }), () => {});
  let [alive, megabytes] = [0, 0];
  for (let i = 1; i <= STEPS; i++) {
    step(log);
    if (i === Math.floor(STEPS / 5)) [alive, megabytes] = [liveTensors(), heldMB()];
  }
  log.close();
  assert.equal(liveTensors(), alive, "live tensors");
  const growth = heldMB() - megabytes;
  assert.ok(growth < SLACK_MB, `the process grew by ${growth.toFixed(1)} MB, allowed are ${SLACK_MB}`);
  console.log(
    `# ${name}: ${megabytes.toFixed(0)} MB after a fifth of the steps, ${growth.toFixed(1)} MB more at the end`,
  );
}
