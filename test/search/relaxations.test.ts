// The formulas that search methods are made of, on tensors, with known numbers: softmax mixture, Gumbel softmax.
import assert from "node:assert/strict";
import { test } from "node:test";
import { aten } from "../../src/tensor/aten.ts";
import { grad } from "../../src/tensor/autograd.ts";
import { seed } from "../../src/tensor/runtime.ts";
import { Parameter, randn, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { assertClose } from "../support/assert-close.ts";
import { leakFree } from "../support/leak-free.ts";

const float64 = { dtype: "float64" } as const;
const LOGITS = [0.1, -0.2, 0.3];
const PROBABILITIES = [0.337585, 0.250089, 0.412327];
const vector = (values: number[]) => tensor(values, [values.length], float64);
const logits = () => new Parameter(vector(LOGITS));
const hot = (k: number) => vector([0, 1, 2].map((j) => (j === k ? 1 : 0)));

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
const concrete = (alpha: Tensor, noise: Tensor, temperature: number) =>
  alpha.add(noise).div(temperature).softmax(0);

test(
  "the concrete sample has its known value, whether or not alphas pass a log-softmax",
  leakFree(() => {
    for (const alpha of [vector(LOGITS), vector(LOGITS).logSoftmax(0)]) {
      const q = concrete(alpha, vector(NOISE), 0.5);
      assertClose(q, [0.247263, 0.550295, 0.202442], 2e-6, "q");
      assert.equal(aten.argmax.default(q).item(), 1);
    }
  }),
);

test(
  "the straight-through sample is one-hot, with the gradient of the soft one",
  leakFree(() => {
    using alpha = logits();
    const q = concrete(alpha, vector(NOISE), 0.5);
    const hard = hot(aten.argmax.default(q).item());
    const h = hard.sub(q.detach()).add(q);
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
      seed(5);
      const draws = 100_000;
      const uniform = aten.uniform_.default(randn([draws, 3], float64), 1e-12, 1);
      const gumbel = aten.log.default(aten.log.default(uniform).neg()).neg();
      const chosen = aten.argmax.default(gumbel.add(vector(LOGITS)).div(temperature).softmax(1), 1);
      const shares = [0, 1, 2].map((k) => aten.eq.Scalar(chosen, k).sum().item() / draws);
      // Standard error 0.0015; the tolerance is five of them, relative to the largest share.
      assertClose(shares, PROBABILITIES, 0.0075 / 0.41, "shares");
    }),
  );
}

test(
  "a high temperature makes the sample uniform, a low one one-hot",
  leakFree(() => {
    assertClose(concrete(vector(LOGITS), vector(NOISE), 1e9), Array(3).fill(1 / 3), 1e-8, "τ → ∞");
    assertClose(concrete(vector(LOGITS), vector(NOISE), 1e-3), [0, 1, 0], 1e-12, "τ → 0");
  }),
);
