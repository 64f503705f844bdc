// The formulas that search methods are made of, on tensors, with known numbers: softmax mixture, Gumbel softmax.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createGenerator } from "../../src/random/generator.ts";
import {
  concreteLogDensity,
  concreteSample,
  gumbelNoise,
  straightThrough,
} from "../../src/search/concrete.ts";
import { aten } from "../../src/tensor/aten.ts";
import { grad } from "../../src/tensor/autograd.ts";
import { Parameter, tensor, zeros } from "../../src/tensor/tensor.ts";
import { assertClose } from "../support/assert-close.ts";
import { leakFree } from "../support/leak-free.ts";

const float64 = { dtype: "float64" } as const;
const LOGITS = [0.1, -0.2, 0.3];
const PROBABILITIES = [0.337585, 0.250089, 0.412327];
const vector = (values: number[]) => tensor(values, [values.length], float64);
const logits = () => new Parameter(vector(LOGITS));

test(
  "a mixture of constants has the known value and gradient",
  leakFree(() => {
    using alpha = logits();
    const p = alpha.softmax(0);
    assertClose(p, PROBABILITIES, 2e-6, "softmax");
    const [gradient] = grad([p.mul(vector([1, 2, -1])).sum()], [alpha]);
    assertClose(gradient!, [0.193964, 0.393781, -0.587745], 2e-6, "p_j (c_j − Σ p c)");
    assertClose(gradient!.sum(), 0, 1e-12, "sum");
  }),
);

test(
  "equal alphas give the mean, and an alpha of −∞ the mean of the rest",
  leakFree(() => {
    assertClose(vector([3, 3, 3, 3]).softmax(0), Array(4).fill(0.25), 1e-12, "uniform");
    assertClose(
      vector([Number.NEGATIVE_INFINITY, 2, 2]).softmax(0),
      [0, 0.5, 0.5],
      1e-12,
      "without the first",
    );
  }),
);

const NOISE = [0.2, 0.9, -0.1];

test(
  "the concrete sample has its known value, whether or not alphas pass a log-softmax",
  leakFree(() => {
    for (const alpha of [vector(LOGITS), vector(LOGITS).logSoftmax(0)]) {
      const q = concreteSample(alpha, vector(NOISE), 0.5);
      assertClose(q, [0.247263, 0.550295, 0.202442], 2e-6, "q");
      assert.equal(aten.argmax.default(q).item(), 1);
    }
  }),
);

test(
  "the straight-through sample is one-hot, with the gradient of the soft one",
  leakFree(() => {
    using alpha = logits();
    const q = concreteSample(alpha, vector(NOISE), 0.5);
    const h = straightThrough(q);
    assertClose(h, [0, 1, 0], 1e-12, "h");
    const [gradient] = grad([h.select(0, 1)], [alpha]);
    assertClose(gradient!, [-0.272135, 0.494941, -0.222806], 2e-6, "q₁ (δ − q_j)/τ");
    assertClose(gradient!.sum(), 0, 1e-12, "sum");
  }),
);

for (const temperature of [0.1, 1, 10]) {
  test(
    `at temperature ${temperature} each candidate is drawn as often as its softmax says`,
    leakFree(() => {
      const draws = 100_000;
      const noise = gumbelNoise(zeros([draws, 3], float64), createGenerator(5));
      const hard = straightThrough(concreteSample(vector(LOGITS), noise, temperature));
      const chosen = aten.argmax.default(hard, 1);
      const shares = [0, 1, 2].map((k) => aten.eq.Scalar(chosen, k).sum().item() / draws);
      // Standard error 0.0015; the tolerance is five of them, relative to the largest share.
      assertClose(shares, PROBABILITIES, 0.0075 / 0.41, "shares");
    }),
  );
}

test(
  "a high temperature makes the sample uniform, a low one one-hot",
  leakFree(() => {
    assertClose(concreteSample(vector(LOGITS), vector(NOISE), 1e9), Array(3).fill(1 / 3), 1e-8, "τ → ∞");
    assertClose(concreteSample(vector(LOGITS), vector(NOISE), 1e-3), [0, 1, 0], 1e-12, "τ → 0");
  }),
);

test(
  "the log density of a concrete sample has its known value",
  leakFree(() => {
    const density = concreteLogDensity(vector(LOGITS), vector([0.2, 0.3, 0.5]), 0.5);
    assertClose(density, [-0.545437164], 1e-8, "log p");
  }),
);
