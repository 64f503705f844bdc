// The unrolled architecture gradient leaves everything as it found it, whatever happens in its four passes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type BilevelProblem, unrolledGradient } from "../../src/search/unrolled.ts";
import { aten } from "../../src/tensor/aten.ts";
import { grad } from "../../src/tensor/autograd.ts";
import { generatorState, seed } from "../../src/tensor/runtime.ts";
import { keep, scope } from "../../src/tensor/scope.ts";
import { Parameter, scalar, type Tensor, tensor, zeros } from "../../src/tensor/tensor.ts";
import { assertClose } from "../support/assert-close.ts";
import { disposing } from "../support/dispose.ts";
import { leakFree } from "../support/leak-free.ts";

const bytes = (value: Tensor) => Buffer.from(value.toArray().buffer).toString("hex");

/** A problem with dropout and a running mean, that can be made to throw in its n-th pass. */
function noisy(throwIn?: number) {
  seed(11);
  const w = new Parameter(tensor([0.5, -1, 2, 0.25], [4]));
  const unused = new Parameter(scalar(7));
  const a = new Parameter(tensor([0.3, 0.1, -0.2, 0.9], [4]));
  const running = keep(zeros([4]));
  const masks: number[][] = [];
  let pass = 0;
  const loss = () => {
    const mask = aten.bernoulli.p(tensor([1, 1, 1, 1], [4]), 0.5);
    masks.push(mask.toNumbers());
    aten.lerp_.Scalar(running, w.detach(), 0.1);
    if (++pass === throwIn) throw new Error(`pass ${pass}`);
    const y = w.mul(a).mul(mask).sub(1);
    return y.mul(y).mul(y).sum();
  };
  const problem: BilevelProblem = {
    weights: [w, unused],
    alphas: [a],
    buffers: [running],
    trainLoss: loss,
    validLoss: loss,
  };
  const all = [w, unused, a, running];
  return disposing({ problem, loss, masks, all }, ...all);
}

const PASSES = ["virtual step", "validation", "plus", "minus"];
for (const throwIn of [undefined, 1, 2, 3, 4]) {
  const what = throwIn ? `an exception in the ${PASSES[throwIn - 1]} pass leaves` : "a step leaves";
  test(
    `${what} weights and buffers to the bit as they were, and the same handles`,
    leakFree(() => {
      using run = noisy(throwIn);
      const before = run.all.map(bytes);
      const compute = () =>
        scope(
          () => void unrolledGradient(run.problem, { learningRate: 0.1, momentum: 0.9, weightDecay: 0.1 }),
        );
      if (throwIn) assert.throws(compute, new RegExp(`pass ${throwIn}`));
      else compute();
      assert.equal(run.masks.length, throwIn ?? 4);
      assert.deepEqual(run.all.map(bytes), before);
      assert.ok(run.problem.weights.every((weight) => weight.requiresGrad));
      const [gradient] = grad([run.problem.weights[0]!.sum()], [run.problem.weights[0]!]);
      assertClose(gradient!, [1, 1, 1, 1], 0, "the weights are leaves of graphs as before");
    }),
  );
}

test(
  "the ± passes see the same random draws and leave the generator where the others left it",
  leakFree(() => {
    for (const throwIn of [undefined, 3, 4]) {
      using run = noisy();
      scope(() => [run.loss(), run.loss()]);
      const after = generatorState();
      using again = noisy(throwIn);
      const compute = () => scope(() => void unrolledGradient(again.problem, { learningRate: 0.1 }));
      if (throwIn) assert.throws(compute);
      else compute();
      assert.deepEqual(Buffer.from(generatorState()), Buffer.from(after));
      if (!throwIn) assert.deepEqual(again.masks[3], again.masks[2]);
    }
  }),
);

// With other draws than the virtual step's, the product is that of another function's Hessian.
test(
  "the ± passes see the draws of the virtual step's training pass",
  leakFree(() => {
    using run = noisy();
    unrolledGradient(run.problem, { learningRate: 0.1 });
    assert.deepEqual(run.masks[2], run.masks[0]);
    assert.deepEqual(run.masks[3], run.masks[0]);
  }),
);
