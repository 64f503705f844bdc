// The second-order architecture gradient (DARTS, section 2.3, equations 6 to 8): the validation loss after one
// virtual weight step, with the Hessian-vector product by finite differences. The virtual step has the momentum
// and weight decay of the real one, as published. Deviations from the reference code, on purpose: the live
// weights and the BN buffers are exactly as found afterwards, also when something throws, and the ± passes see
// the random draws of the virtual step's pass, so that all three are of one and the same function.
import { type Loss, lossGradient } from "../optim/accumulate.ts";
import { globalNorm } from "../optim/clip.ts";
import type { Generator } from "../random/generator.ts";
import { aten } from "../tensor/aten.ts";
import { noGrad } from "../tensor/autograd.ts";
import { exchange, scope } from "../tensor/scope.ts";
import type { Parameter, Tensor } from "../tensor/tensor.ts";
import { drawsOf, replaying } from "./draws.ts";

/** The two losses of the bilevel problem, as functions of tensors that the caller owns. */
export interface BilevelProblem {
  readonly weights: readonly Parameter[];
  readonly alphas: readonly Parameter[];
  /** Tensors that a forward pass overwrites (running statistics) and that must come back as they were. */
  readonly buffers?: readonly Tensor[];
  /** L_T at the present weights and alphas. */
  readonly trainLoss: Loss;
  /** L_V at the present weights and alphas. */
  readonly validLoss: Loss;
}

/** The weight optimizer's part in the virtual step. */
export interface VirtualStep {
  /** ξ, the learning rate of the virtual step; 0 gives the first-order gradient at its price. */
  readonly learningRate: number;
  readonly momentum?: number;
  readonly nesterov?: boolean;
  readonly weightDecay?: number;
  /** The optimizer's momentum buffer of each weight; undefined before its first step. */
  readonly momentumBuffer?: (index: number) => Tensor | undefined;
  /** Length of the finite-difference step: ε·‖v‖. Published: 0.01. */
  readonly radius?: number;
  /** Device whose random generator the passes draw from. */
  readonly device?: string;
  /** Another generator that the passes may draw from. */
  readonly random?: Generator;
}

/** The gradient for each alpha, and the validation loss at the virtual weights. */
export interface ArchitectureGradient {
  readonly gradients: (Tensor | undefined)[];
  readonly validLoss: number;
}

/**
 * ∇α L_V(w′, α) − ξ · ∇²α,w L_T(w, α) · ∇w′ L_V(w′, α), with w′ = w − ξ·(µ·buf + ∇w L_T(w, α) + λ·w); with Nesterov's
 * look-ahead the gradient counts (1 + µ) times, in both terms, and the buffer µ times more. Four passes forward and back.
 */
export function unrolledGradient(problem: BilevelProblem, step: VirtualStep): ArchitectureGradient {
  const { weights, alphas } = problem;
  const { learningRate, radius = 0.01, momentum = 0, nesterov = false } = step;
  return scope(() =>
    withBuffersRestored(problem.buffers ?? [], () => {
      const rewind = drawsOf(step);
      const virtual = virtualWeights(problem, step);
      const { validLoss, direct, v } = withValues(weights, virtual, () =>
        scope(() => {
          const { value, gradients } = lossGradient(problem.validLoss, [...alphas, ...weights]);
          const count = alphas.length;
          return { validLoss: value, direct: gradients.slice(0, count), v: gradients.slice(count) };
        }),
      );
      const norm = globalNorm(v);
      if (norm === 0 || learningRate === 0) return { gradients: direct, validLoss };
      const epsilon = radius / norm;
      const [plus, minus] = [epsilon, -epsilon].map((signed) =>
        replaying(rewind, step, () => alphaGradientAt(problem, shifted(weights, v, signed))),
      );
      const gradients = noGrad(() =>
        direct.map((a, i) => {
          const [p, m] = [plus[i], minus[i]];
          if (!p || !m) return a;
          const rate = nesterov ? learningRate * (1 + momentum) : learningRate;
          const implicit = p.sub(m).mul(-rate / (2 * epsilon));
          return a ? a.add(implicit) : implicit;
        }),
      );
      return { gradients, validLoss };
    }),
  );
}

/** w′ for every weight. */
function virtualWeights({ weights, trainLoss }: BilevelProblem, step: VirtualStep): Tensor[] {
  const { learningRate, momentum = 0, nesterov = false, weightDecay = 0, momentumBuffer } = step;
  return scope(() => {
    const { gradients } = lossGradient(trainLoss, weights);
    const buffers = weights.map((_, i) => momentumBuffer?.(i));
    return noGrad(() => {
      const moved = aten._foreach_mul.Scalar(weights, weightDecay);
      addWhereThere(moved, gradients, 1);
      addWhereThere(moved, buffers, momentum); // now the momentum buffer after the step
      if (nesterov) {
        aten._foreach_mul_.Scalar(moved, 1 + momentum);
        addWhereThere(moved, buffers, -momentum);
      }
      aten._foreach_mul_.Scalar(moved, -learningRate);
      aten._foreach_add_.List(moved, weights);
      return moved;
    });
  });
}

/** sums ← sums + factor · terms, in place, for the terms that are there; one call for some thousand small tensors. */
function addWhereThere(
  sums: readonly Tensor[],
  terms: readonly (Tensor | undefined)[],
  factor: number,
): void {
  const there = terms.filter((term) => term !== undefined);
  if (there.length === 0) return;
  const to = sums.filter((_, i) => terms[i] !== undefined);
  aten._foreach_add_.List(to, there, factor);
}

/** w + ε·v for every weight; a weight that the validation loss does not reach stays where it is. */
function shifted(weights: readonly Tensor[], v: readonly (Tensor | undefined)[], epsilon: number): Tensor[] {
  return noGrad(() => {
    const moved = aten._foreach_mul.Scalar(weights, 1);
    addWhereThere(moved, v, epsilon);
    return moved;
  });
}

function alphaGradientAt(problem: BilevelProblem, weights: readonly Tensor[]): (Tensor | undefined)[] {
  // Plain tensors in the weights' place: the pass records nothing for gradients that nobody asks for.
  return exchanged(problem.weights, weights, () =>
    scope(() => lossGradient(problem.trainLoss, problem.alphas).gradients),
  );
}

/** Runs `fn` with other values behind the parameters' handles; afterwards the handles stand for their own again. */
export function withValues<T>(parameters: readonly Parameter[], values: readonly Tensor[], fn: () => T): T {
  for (const value of values) value.setRequiresGrad();
  return exchanged(parameters, values, fn);
}

/** Runs `fn` on copies of the buffers. */
export function withBuffersRestored<T>(buffers: readonly Tensor[], fn: () => T): T {
  return exchanged(
    buffers,
    noGrad(() => buffers.map((buffer) => buffer.clone())),
    fn,
  );
}

function exchanged<T>(handles: readonly Tensor[], values: readonly Tensor[], fn: () => T): T {
  for (const [i, handle] of handles.entries()) exchange(handle, values[i]);
  try {
    return fn();
  } finally {
    for (const [i, handle] of handles.entries()) exchange(handle, values[i]);
  }
}
