// The health rules on made-up logs, and what a search and a training say when their numbers stop being finite.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { randomGenotype } from "../../src/genotype/random.ts";
import { Divergence } from "../../src/nn/divergence.ts";
import { createGenerator } from "../../src/random/generator.ts";
import { openEvents, type RunEvent, readEvents } from "../../src/run/events.ts";
import { HealthMonitor, watchHealth } from "../../src/run/health.ts";
import { Search } from "../../src/search/search.ts";
import { noGrad } from "../../src/tensor/autograd.ts";
import { scope } from "../../src/tensor/scope.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import { Training } from "../../src/train/training.ts";
import { leakFree } from "../support/leak-free.ts";
import { toyConfig, toyDataset } from "../support/toy-problem.ts";

const folder = mkdtempSync(join(tmpdir(), "darts-health-"));
after(() => rmSync(folder, { recursive: true }));

const dataset = toyDataset();
const generator = createGenerator(3, "losses");

/** A step of the search with that loss. */
function searchStep(step: number, trainLoss: number): RunEvent {
  return {
    type: "search-step",
    epoch: 0,
    step,
    steps: 1000,
    trainLoss,
    validLoss: null,
    learningRate: 0.1,
    ms: 1,
  };
}

/** Losses that fall and scatter as those of a search do. */
function ordinary(step: number): number {
  return 2.3 * Math.exp(-step / 300) * (0.8 + 0.4 * generator.uniform()) + 0.05;
}

test("ordinary losses are no spikes, one that is far off is told with its step, and once in fifty steps", () => {
  const monitor = new HealthMonitor();
  const told = Array.from({ length: 600 }, (_, step) => {
    const loss = step === 400 || step === 410 || step === 500 ? 30 : ordinary(step);
    return monitor.observe(searchStep(step, loss));
  }).filter((event) => event !== undefined);
  assert.deepEqual(
    told.map(({ kind, phase, epoch, step }) => [kind, phase, epoch, step]),
    [
      ["loss-spike", "search", 0, 400],
      ["loss-spike", "search", 0, 500],
    ],
  );
  assert.match(told[0]!.message, /^the loss jumped to 30\.00, the median of the steps before is 0\.\d+$/);
});

test("the first steps, and those of another phase, are not compared with others", () => {
  const monitor = new HealthMonitor();
  for (let step = 0; step < 19; step++) assert.equal(monitor.observe(searchStep(step, 0.1)), undefined);
  assert.equal(monitor.observe(searchStep(19, 30)), undefined);
  for (let step = 20; step < 60; step++) monitor.observe(searchStep(step, 0.1));
  const first = {
    type: "train-step",
    cell: "found",
    epoch: 0,
    step: 0,
    steps: 9,
    learningRate: 0.1,
    ms: 1,
  } as const;
  assert.equal(monitor.observe({ ...first, trainLoss: 30 }), undefined);
});

test("a monitor that was shown the log goes on like the one that wrote it, and the log is otherwise as it was", () => {
  const [whole, before] = [join(folder, "whole.jsonl"), join(folder, "before.jsonl")];
  const lines: string[] = [];
  const write = (path: string, from: number, to: number) => {
    const past = from > 0 ? readEvents(path) : [];
    const log = watchHealth(openEvents(path), (line) => lines.push(line), past);
    for (let step = from; step < to; step++)
      log.append(searchStep(step, step === 70 || step === 90 ? 30 : 1));
    log.close();
  };
  write(whole, 0, 100);
  write(before, 0, 80);
  write(before, 80, 100);
  const events = (path: string) => readEvents(path).map(({ time, ...event }) => event);
  assert.deepEqual(events(before), events(whole));
  assert.deepEqual(
    events(whole).flatMap((event, at) => (event.type === "health" ? [at] : [])),
    [71],
  );
  assert.deepEqual(
    lines,
    Array(2).fill(
      "Look at this: search, epoch 1, step 71: the loss jumped to 30.00, the median of the steps before is 1.000",
    ),
  );
});

test(
  "an alpha whose gradient is zero all epoch is told by its edge and operation, and no other",
  leakFree(() => {
    using search = new Search(toyConfig({ "search.epochs": 3 }), dataset);
    const runEpoch = (saturate: boolean) => {
      while (search.step < search.stepsPerEpoch) {
        // A softmax so far apart that all but one of its weights, and with them all gradients, are exactly zero.
        if (saturate) setRow(search.method.alphas.get("alphas_normal")!, 1, 300);
        search.runStep();
      }
      search.endEpoch(search.validate());
    };
    runEpoch(false);
    assert.deepEqual(search.deadAlphas, []);
    runEpoch(true);
    assert.deepEqual(search.deadAlphas, ["alphas_normal[1]"]);
    runEpoch(false);
  }),
);

test("dead alphas are told when they change", () => {
  const monitor = new HealthMonitor();
  const told = [[], ["a[0]"], ["a[0]"], [], ["a[0]", "a[1][none]"]].map((deadAlphas, epoch) =>
    monitor.observe({ type: "search-epoch", epoch, deadAlphas } as unknown as RunEvent),
  );
  assert.deepEqual(
    told.map((event) => event?.epoch),
    [undefined, 1, undefined, undefined, 4],
  );
  assert.match(told[4]!.message, /dead alphas.*: a\[0\], a\[1\]\[none\]$/);
});

for (const [what, spoil, first] of [
  [
    "a weight",
    (search: Search) => poison(search.supernet.stateDict().get("stem.0.weight")!),
    /^the weight stem\.0\.weight \(1 of \d+ numbers\)$/,
  ],
  [
    "an alpha",
    (search: Search) => poison(search.method.alphas.get("alphas_reduce")!),
    /^the alphas alphas_reduce \(/,
  ],
  [
    "a buffer",
    (search: Search) => poison(search.supernet.stateDict().get("stem.1.running_mean")!),
    undefined,
  ],
] as const) {
  test(
    `a search with ${what} that is not finite ends with its name`,
    leakFree(() => {
      using search = new Search(toyConfig(), dataset);
      search.runStep();
      spoil(search);
      const error = thrown(() => (first ? search.runStep() : search.endEpoch(undefined)));
      assert.match(error.place.first, first ?? /^the buffer stem\.1\.running_mean \(1 of/);
      assert.deepEqual([error.place.epoch, error.place.step], [0, first ? 1 : null]);
      assert.match(error.message, first ? /at step 2 of epoch 1/ : /at the end of epoch 1/);
      assert.match(error.message, /First to go bad: the .* Lower search\.learningRate/);
    }),
  );
}

test(
  "a gradient that is not finite, of weights that are, is named, and the weights stay as they were",
  leakFree(() => {
    // So large that the squares in the norm of the weights overflow on the way back, not on the way there.
    using training = new Training(
      toyConfig({ "train.auxiliary": false }),
      randomGenotype(createGenerator(1), toyConfig().space),
      dataset,
    );
    noGrad(() => {
      const weight = training.network.stateDict().get("classifier.weight")!;
      scope(() => weight.copy_(weight.mul(3e38)));
    });
    const before = training.network.stateDict().get("stem.0.weight")!.toNumbers();
    const error = thrown(() => training.runStep());
    assert.match(error.place.first, /^the (gradient of|loss itself)/);
    assert.deepEqual(training.network.stateDict().get("stem.0.weight")!.toNumbers(), before);
  }),
);

test(
  "a weight that an epoch's last step spoiled is found before the epoch is closed",
  leakFree(() => {
    using training = new Training(
      toyConfig(),
      randomGenotype(createGenerator(1), toyConfig().space),
      dataset,
    );
    training.runStep();
    poison(training.network.stateDict().get("classifier.bias")!);
    assert.match(thrown(() => training.endEpoch()).place.first, /^the weight classifier\.bias/);
    assert.equal(training.epoch, 0);
  }),
);

/** Sets the first number to NaN. */
function poison(tensor: Tensor): void {
  setAt(tensor, 0, Number.NaN);
}

function setRow(alphas: Tensor, row: number, first: number): void {
  const columns = alphas.shape[1]!;
  for (let column = 0; column < columns; column++)
    setAt(alphas, row * columns + column, column === 0 ? first : 0);
}

function setAt(tensor: Tensor, index: number, value: number): void {
  noGrad(() =>
    scope(
      () =>
        void tensor
          .reshape([-1])
          .select(0, index)
          .copy_(tensor.reshape([-1]).select(0, index).mul(0).add(value)),
    ),
  );
}

function thrown(action: () => unknown): Divergence {
  try {
    action();
  } catch (error) {
    assert.ok(error instanceof Divergence, String(error));
    return error;
  }
  return assert.fail("nothing was thrown");
}
