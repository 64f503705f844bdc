// The contract that every search method keeps, for every order of steps: a new method needs no new test.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { Config } from "../../src/config/schema.ts";
import { checkGenotype } from "../../src/genotype/parse.ts";
import { loadCheckpoint, saveCheckpoint } from "../../src/run/checkpoint.ts";
import { METHODS } from "../../src/search/methods.ts";
import { Search } from "../../src/search/search.ts";
import { noGrad } from "../../src/tensor/autograd.ts";
import { liveTensors, seed } from "../../src/tensor/runtime.ts";
import { scope } from "../../src/tensor/scope.ts";
import { full } from "../../src/tensor/tensor.ts";
import { counted } from "../support/leak-free.ts";
import { fingerprint, fingerprintOf, toyConfig, toyDataset } from "../support/toy-problem.ts";

const ORDERS: readonly Config["search"]["order"][] = ["first", "second", "joint", "alternating"];
const BILEVEL = ["first", "second"];
const dataset = toyDataset();
const folder = mkdtempSync(join(tmpdir(), "darts-methods-"));
after(() => rmSync(folder, { recursive: true }));

for (const method of Object.keys(METHODS)) {
  for (const order of ORDERS) {
    const start = (settings: Readonly<Record<string, unknown>> = {}) =>
      new Search(toyConfig({ "search.method": method, "search.order": order, ...settings }), dataset);
    const contract = (sentence: string, body: () => void) =>
      test(`${method}, ${order}: ${sentence}`, counted(body));

    contract("every alpha moves, and the derived genotype is valid and without none", () => {
      using search = start();
      const before = search.method.alphaRows();
      for (let i = 0; i < 3; i++) search.runStep();
      const moved = search.method.alphaRows();
      for (const cell of ["normal", "reduce"] as const) {
        for (const [edge, row] of moved[cell].entries())
          for (const [k, alpha] of row.entries()) assert.notEqual(alpha, before[cell][edge]![k], cell);
      }
      const genotype = search.method.derive();
      assert.deepEqual(checkGenotype(genotype), genotype);
      assert.equal([...genotype.normal, ...genotype.reduce].length, 8, "two edges for each of two nodes");
      assert.ok(![...genotype.normal, ...genotype.reduce].some(([op]) => op === "none"));
    });

    contract("none is not derived even where its alpha is by far the largest", () => {
      using search = start();
      noGrad(() => {
        for (const alpha of search.method.alphas.values()) {
          const [edges, ops] = alpha.shape as [number, number];
          using values = full([edges, ops], 0);
          using none = values.select(1, 0);
          using large = full([edges], 100);
          none.copy_(large);
          alpha.copy_(values);
        }
      });
      const { normal, reduce } = search.method.derive();
      assert.ok(![...normal, ...reduce].some(([op]) => op === "none"));
    });

    contract("a checkpoint taken within an epoch is continued to the very same bytes", () => {
      const path = join(folder, `${method}-${order}.safetensors`);
      using search = start();
      search.runStep();
      search.runStep();
      scope(() => saveCheckpoint(path, search.snapshot()));
      const expected = goOn(search);

      seed(987654);
      using resumed = start();
      scope(() => resumed.restore(loadCheckpoint(path)));
      assert.deepEqual(goOn(resumed), expected);
    });

    contract("the same seed gives the same bytes, another seed gives others", () => {
      const bytes = [2, 2, 3].map((number) => {
        using search = start({ seed: number });
        return search.runStep() && search.runStep() && fingerprint(search);
      });
      assert.deepEqual(bytes[1], bytes[0]);
      const differs = (prefix: string) =>
        Object.keys(bytes[0]!).some((name) => name.startsWith(prefix) && bytes[0]![name] !== bytes[2]![name]);
      for (const part of ["weights/", "alphas/", "weight-optimizer/", "arch-optimizer/"])
        assert.ok(differs(part), part);
    });

    contract("30 steps leave as many tensors alive as the first, and dispose leaves none", () => {
      using search = start({ "search.epochs": 40 });
      search.runStep();
      const alive = liveTensors();
      for (let i = 1; i < 30; i++) {
        if (search.step === search.stepsPerEpoch) search.endEpoch(search.validate());
        search.runStep();
      }
      assert.equal(liveTensors(), alive);
    });

    contract("the loss of the weights falls on images that can be told apart", () => {
      using search = start({ "search.batchSize": 16, "search.epochs": 20, "data.cropPadding": 0 });
      const losses: number[] = [];
      for (let epoch = 0; epoch < 12; epoch++) {
        while (search.step < search.stepsPerEpoch) losses.push(search.runStep().trainLoss);
        search.endEpoch(undefined);
      }
      const mean = (values: readonly number[]) => values.reduce((a, b) => a + b) / values.length;
      const [first, last] = [mean(losses.slice(0, 3)), mean(losses.slice(-3))];
      assert.ok(last < 0.8 * first, `the loss went from ${first} to ${last}`);
    });

    contract("archFromEpoch leaves the alphas alone before that epoch and moves them from it on", () => {
      using search = start({ "search.archFromEpoch": 1 });
      const before = fingerprintOf(search, "alphas/");
      while (search.step < search.stepsPerEpoch) assert.equal(search.runStep().archLoss, undefined);
      assert.deepEqual(fingerprintOf(search, "alphas/"), before);
      search.endEpoch(search.validate());
      assert.ok(Number.isFinite(search.runStep().archLoss));
      assert.notDeepEqual(fingerprintOf(search, "alphas/"), before);
    });

    contract(
      "the weights move by the epoch's learning rate: not at all where the schedule ends at zero",
      () => {
        using search = start({ "search.epochs": 1, "search.learningRateMin": 0 });
        const weights = () => [...search.supernet.namedParameters()].map(([, weight]) => weight.toArray());
        search.runStep();
        const moved = weights();
        search.endEpoch(undefined);
        search.runStep();
        assert.deepEqual(weights(), moved);
      },
    );

    contract("a loss that is no number stops the search with its step and epoch", () => {
      using search = start({
        "search.learningRate": 1e30,
        "search.learningRateMin": 1e30,
        "search.gradClip": 0,
      });
      const message =
        /diverged: the loss or its gradient is (NaN|-?Infinity) at step \d of epoch 1, .*search\.learningRate/;
      assert.throws(
        () => {
          while (search.step < 4) search.runStep();
        },
        { name: "UserError", message },
      );
    });

    if (!BILEVEL.includes(order)) {
      contract("there is no validation, because every image trains the weights", () => {
        using search = start();
        assert.equal(search.validate(), undefined);
        assert.equal(search.stepsPerEpoch, dataset.train.count / 4);
      });
      continue;
    }

    contract("moving the alphas leaves the weights as they were, to the bit", () => {
      using search = start();
      search.runStep(); // from here on there is momentum
      const before = fingerprintOf(search, "weights/");
      const isBuffer = (name: string) => /running_|num_batches/.test(name);
      const seen = watchArchitectureStep(search, () => fingerprintOf(search, "weights/"));
      search.runStep();
      const [afterwards] = seen;
      assert.ok(afterwards, "the alphas were moved");
      for (const [name, bytes] of Object.entries(before)) {
        // As published: the first-order pass is an ordinary one, and running statistics take part in it.
        if (order === "first" && isBuffer(name)) continue;
        assert.equal(afterwards[name], bytes, name);
      }
    });

    contract(
      "validation uses running statistics, changes nothing, and training goes on in training mode",
      () => {
        using search = start();
        search.runStep();
        const before = fingerprint(search);
        const first = search.validate()!;
        assert.ok(first.accuracy >= 0 && first.accuracy <= 1);
        assert.deepEqual(search.validate(), first);
        assert.deepEqual(fingerprint(search), before);
        for (const module of search.supernet.modules()) assert.equal(module.training, true);
        const [, mean] = [...search.supernet.namedBuffers()].find(([name]) => name.endsWith("running_mean"))!;
        using shifted = full(mean.shape, 3);
        mean.copy_(shifted);
        assert.notEqual(search.validate()!.loss, first.loss);
      },
    );
  }
}

/** The rest of this epoch and half of the next: every loss on the way, and the bytes at its end. */
function goOn(search: Search): unknown {
  const losses: unknown[] = [];
  while (search.step < search.stepsPerEpoch) losses.push(search.runStep());
  losses.push({ ...search.totals }, search.validate());
  search.endEpoch(undefined);
  losses.push(search.runStep(), search.runStep());
  return { losses, bytes: fingerprint(search), genotype: search.method.derive() };
}

/** Has `look` called whenever the alphas have just been moved; its results, in order. */
function watchArchitectureStep<T>(search: Search, look: () => T): T[] {
  const seen: T[] = [];
  const { step } = search.method;
  search.method.step = (given) =>
    step({
      ...given,
      archOptimizer: Object.create(given.archOptimizer, {
        step: {
          value(gradients: Parameters<typeof given.archOptimizer.step>[0]) {
            given.archOptimizer.step(gradients);
            seen.push(look());
          },
        },
      }),
    });
  return seen;
}
