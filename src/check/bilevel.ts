// The unrolled architecture gradient: closed forms, the order of its finite difference, and double backward.
import { type BilevelProblem, unrolledGradient } from "../search/unrolled.ts";
import { aten } from "../tensor/aten.ts";
import { grad } from "../tensor/autograd.ts";
import { seed } from "../tensor/runtime.ts";
import { Parameter, randn, type Tensor, tensor } from "../tensor/tensor.ts";
import { type Check, compare, compareAll } from "./check.ts";

const FLOAT64 = { dtype: "float64" } as const;
const column = (...values: number[]) => tensor(values, [values.length, 1], FLOAT64);

/** All checks of the unrolled gradient. */
export function bilevelChecks(): Check[] {
  return [scalarCheck(), matrixCheck(), ...orderChecks(), doubleBackwardCheck()];
}

const square = (x: Tensor) => x.mul(x).sum();

/** L_T = ½(w − 2a)², L_V = ½(w − 1)² + 0.1a²: 0.08 − 0.1·0.995. */
function scalarCheck(): Check {
  using w = new Parameter(column(0.5));
  using a = new Parameter(column(0.4));
  const problem: BilevelProblem = {
    weights: [w],
    alphas: [a],
    trainLoss: () => square(w.sub(a.mul(2))).mul(0.5),
    validLoss: () => square(w.sub(1)).mul(0.5).add(square(a).mul(0.1)),
  };
  const step = { learningRate: 0.1, momentum: 0.9, weightDecay: 0.01, momentumBuffer: () => column(0.3) };
  const [gradient] = unrolledGradient(problem, step).gradients;
  return compare("unrolled gradient with momentum and weight decay", gradient!.item(), -0.0195, 1e-9);
}

/** L_T = ½‖w − Ba‖², L_V = ½‖w − b‖²: η·Bᵀ(w′ − b), here with w = 0 and no momentum, so w′ = η·Ba. */
function matrixCheck(): Check {
  using w = new Parameter(column(0, 0));
  using a = new Parameter(column(1, 2));
  const B = tensor([1, 2, 3, 4], [2, 2], FLOAT64);
  const problem: BilevelProblem = {
    weights: [w],
    alphas: [a],
    trainLoss: () => square(w.sub(B.matmul(a))).mul(0.5),
    validLoss: () => square(w.sub(column(1, -1))).mul(0.5),
  };
  const [gradient] = unrolledGradient(problem, { learningRate: 0.1 }).gradients;
  // Ba = (5, 11), w′ − b = (−0.5, 2.1)
  return compareAll("unrolled gradient of a vector", gradient!.toNumbers(), [0.58, 0.74], 1e-9);
}

/** L_T = sin(wa): the error of the finite difference is of second order in its radius. */
function orderChecks(): Check[] {
  using w = new Parameter(column(0.7));
  using a = new Parameter(column(1.3));
  const slope = -0.4;
  const problem: BilevelProblem = {
    weights: [w],
    alphas: [a],
    trainLoss: () => aten.sin.default(w.mul(a)).sum(),
    validLoss: () => w.mul(slope).sum(),
  };
  const exact = (Math.cos(0.91) - 0.91 * Math.sin(0.91)) * slope;
  const errors = [0.1, 0.05].map((epsilon) => {
    const step = { learningRate: 1, radius: epsilon * Math.abs(slope) };
    return -unrolledGradient(problem, step).gradients[0]!.item() - exact;
  });
  return [
    compare("error of the finite difference at ε = 0.1", errors[0]!, 2.02344e-4, 1e-9),
    compare("error for half the ε, as a fraction", errors[0]! / errors[1]!, 4, 0.01),
  ];
}

/** A network of two layers whose hidden units mix three activations: the finite difference against exact derivatives. */
function doubleBackwardCheck(): Check {
  seed(4);
  using first = new Parameter(randn([5, 6], FLOAT64));
  using second = new Parameter(randn([6, 3], FLOAT64));
  using alpha = new Parameter(randn([3], FLOAT64));
  const [train, valid] = [0, 1].map(() => ({ x: randn([8, 5], FLOAT64), y: randn([8, 3], FLOAT64) }));
  const loss = ({ x, y }: { x: Tensor; y: Tensor }, [w1, w2]: readonly Tensor[]) => {
    const h = x.matmul(w1!);
    const mixed = [aten.tanh.default(h), aten.sigmoid.default(h), aten.sin.default(h)]
      .map((value, k) => value.mul(alpha.softmax(0).select(0, k)))
      .reduce((sum, value) => sum.add(value));
    return square(mixed.matmul(w2!).sub(y)).mul(0.1);
  };
  const weights = [first, second];
  const learningRate = 0.05;

  const slopes = grad([loss(train!, weights)], weights, { createGraph: true });
  const virtual = weights.map((w, i) => w.sub(slopes[i]!.mul(learningRate)));
  const exact = grad([loss(valid!, virtual)], [alpha])[0]!.toNumbers();

  const problem: BilevelProblem = {
    weights,
    alphas: [alpha],
    trainLoss: () => loss(train!, weights),
    validLoss: () => loss(valid!, weights),
  };
  const found = unrolledGradient(problem, { learningRate, radius: 1e-4 }).gradients[0]!.toNumbers();
  return compareAll("unrolled gradient against double backward", found, exact, 1e-7);
}
