// The bilevel toy problem of the DARTS paper (figure 2), solved by the same unrolled code as the search:
// L_V(w, a) = aw − 2a + 1, L_T(w, a) = (w − a)², from (a, w) = (2, −2). The bilevel optimum is (1, 1); for a
// fixed ξ the iteration ends at a = w = 2/(1 + 2ξ), so ξ = 0 (first order) stays at 2 and ξ = ½ is exact.
import { lossGradient } from "../optim/accumulate.ts";
import { noGrad } from "../tensor/autograd.ts";
import { scope } from "../tensor/scope.ts";
import { Parameter, scalar } from "../tensor/tensor.ts";
import { type BilevelProblem, unrolledGradient } from "./unrolled.ts";

const RATE = 0.1;

/**
 * The points (a, w) of `steps` alternating steps a ← a − 0.1·∇a, then w ← w − 0.1·∇w L_T, with the virtual
 * step's learning rate `xi`; the start is the first point. Computed in float64.
 */
export function toyTrajectory(xi: number, steps: number): [a: number, w: number][] {
  using a = new Parameter(scalar(2, { dtype: "float64" }));
  using w = new Parameter(scalar(-2, { dtype: "float64" }));
  const problem: BilevelProblem = {
    weights: [w],
    alphas: [a],
    trainLoss: () => {
      const gap = w.sub(a);
      return gap.mul(gap);
    },
    validLoss: () => a.mul(w).sub(a.mul(2)).add(1),
  };
  const trajectory: [number, number][] = [[2, -2]];
  for (let i = 0; i < steps; i++) {
    scope(() => {
      const [alphaGradient] = unrolledGradient(problem, { learningRate: xi }).gradients;
      descend(a, alphaGradient!);
      const [weightGradient] = lossGradient(problem.trainLoss, [w]).gradients;
      descend(w, weightGradient!);
    });
    trajectory.push([a.item(), w.item()]);
  }
  return trajectory;
}

function descend(parameter: Parameter, gradient: ReturnType<Parameter["mul"]>): void {
  noGrad(() => parameter.copy_(parameter.sub(gradient.mul(RATE))));
}
