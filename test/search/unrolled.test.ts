// The unrolled architecture gradient on problems with known answers, and the error of its finite difference.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type BilevelProblem, unrolledGradient } from "../../src/search/unrolled.ts";
import { aten } from "../../src/tensor/aten.ts";
import { Parameter, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { assertClose } from "../support/assert-close.ts";
import { leakFree } from "../support/leak-free.ts";

const float64 = { dtype: "float64" } as const;
const parameter = (values: number[], shape: number[] = []) => new Parameter(tensor(values, shape, float64));

/** L_T = ½‖w − Ba‖², L_V = ½‖w − b‖² + 0.1·‖a‖²·penalty. */
function quadratic(w: Parameter, a: Parameter, B: Tensor, b: Tensor, penalty: number): BilevelProblem {
  const square = (x: Tensor) => x.mul(x).sum();
  return {
    weights: [w],
    alphas: [a],
    trainLoss: () => square(w.sub(B.matmul(a))).mul(0.5),
    validLoss: () => square(w.sub(b)).mul(0.5).add(square(a).mul(penalty)),
  };
}

test(
  "a scalar step with momentum and weight decay has its known gradient",
  leakFree(() => {
    using w = parameter([0.5], [1]);
    using a = parameter([0.4], [1]);
    const problem = quadratic(w, a, tensor([2], [1, 1], float64), tensor([1], [1], float64), 0.1);
    const step = {
      learningRate: 0.1,
      momentum: 0.9,
      weightDecay: 0.01,
      momentumBuffer: () => tensor([0.3], [1], float64),
    };
    const { gradients, validLoss } = unrolledGradient(problem, step);
    assertClose(gradients[0]!, [-0.0195], 1e-9, "0.08 − 0.1·0.995");
    assertClose(validLoss, 0.5 * (0.5025 - 1) ** 2 + 0.1 * 0.4 ** 2, 1e-12, "L_V at w′ = 0.5025");
  }),
);

test(
  "a step of a vector has the gradient η·Bᵀ(w′ − b)",
  leakFree(() => {
    const [B, b, start, arch, buffer] = [
      [1, -2, 0.5, 3, 0.25, -1],
      [0.3, -0.7, 1.1],
      [0.5, -0.2, 0.8],
      [0.4, -0.6],
      [0.3, 0.1, -0.2],
    ];
    const [eta, mu, decay] = [0.1, 0.9, 0.01];
    const product = [0, 1, 2].map((row) => B[2 * row]! * arch[0]! + B[2 * row + 1]! * arch[1]!);
    const virtual = start.map((w, i) => w - eta * (mu * buffer[i]! + (w - product[i]!) + decay * w));
    const expected = [0, 1].map(
      (k) => eta * [0, 1, 2].reduce((sum, i) => sum + B[2 * i + k]! * (virtual[i]! - b[i]!), 0),
    );

    using w = parameter(start, [3]);
    using a = parameter(arch, [2]);
    const problem = quadratic(w, a, tensor(B, [3, 2], float64), tensor(b, [3], float64), 0);
    const step = {
      learningRate: eta,
      momentum: mu,
      weightDecay: decay,
      momentumBuffer: () => tensor(buffer, [3], float64),
    };
    // The penalty's weight is 0, so the direct part is 0 and all of it is the implicit term.
    assertClose(unrolledGradient(problem, step).gradients[0]!, expected, 1e-9, "η·Bᵀ(w′ − b)");
  }),
);

test(
  "a learning rate of 0 gives the first-order gradient",
  leakFree(() => {
    using w = parameter([0.5], [1]);
    using a = parameter([0.4], [1]);
    const problem = quadratic(w, a, tensor([2], [1, 1], float64), tensor([1], [1], float64), 0.1);
    assertClose(unrolledGradient(problem, { learningRate: 0 }).gradients[0]!, [0.08], 1e-12, "0.2·a");
  }),
);

test(
  "the finite difference errs by what it should, a quarter for half the radius",
  leakFree(() => {
    const [w0, a0, v] = [0.7, 1.3, -0.4];
    const exact = (Math.cos(w0 * a0) - w0 * a0 * Math.sin(w0 * a0)) * v;
    using w = parameter([w0]);
    using a = parameter([a0]);
    const problem: BilevelProblem = {
      weights: [w],
      alphas: [a],
      trainLoss: () => aten.sin.default(w.mul(a)),
      validLoss: () => w.mul(v), // linear, so that v is the same wherever w′ is
    };
    // The known errors are those of ε itself; the radius is ε·|v|.
    const errors = [0.1, 0.05, 0.025, 0.0125].map((epsilon) => {
      const step = { learningRate: 1, radius: epsilon * Math.abs(v) };
      const [gradient] = unrolledGradient(problem, step).gradients;
      return -gradient!.item() - exact;
    });
    assertClose(errors, [2.02344e-4, 5.05968e-5, 1.26499e-5, 3.16251e-6], 1e-6, "errors");
    assertClose(
      errors.slice(1).map((error, i) => errors[i]! / error),
      [4, 4, 4],
      1e-3,
      "ratios",
    );
  }),
);

test(
  "the weights are moved by ±0.01 in all, and by the radius where one is given",
  leakFree(() => {
    for (const radius of [undefined, 0.25]) {
      using w1 = parameter([1, 2, 3], [3]);
      using w2 = parameter([-1], [1]);
      using a = parameter([0.5], [1]);
      const seen: number[][] = [];
      const problem: BilevelProblem = {
        weights: [w1, w2],
        alphas: [a],
        trainLoss: () => {
          seen.push([...w1.toNumbers(), ...w2.toNumbers()]);
          return w1.mul(w1).sum().mul(a).sum().add(w2.mul(a).sum());
        },
        validLoss: () => w1.mul(w1).sum().add(w2.mul(3).sum()),
      };
      unrolledGradient(problem, { learningRate: 0.1, radius });
      const [start, plus, minus] = seen as [number[], number[], number[]];
      const distance = (from: number[]) => Math.hypot(...from.map((value, i) => value - start[i]!));
      assert.equal(seen.length, 3);
      assertClose([distance(plus), distance(minus)], [radius ?? 0.01, radius ?? 0.01], 1e-9, "ε·‖v‖");
      assertClose(
        plus.map((value, i) => value + minus[i]!),
        start.map((value) => 2 * value),
        1e-12,
        "± around the weights",
      );
    }
  }),
);
