// The steps that methods are put together from: one for the weights, one for the alphas (first or second order),
// and one for both at once (DARTS, algorithm 1 and the one-level ablation).

import type { TensorBatch } from "../data/batch-tensors.ts";
import { countNotFinite } from "../nn/divergence.ts";
import { topCorrect } from "../nn/loss.ts";
import { type LossGradient, lossGradient } from "../optim/accumulate.ts";
import { clipGradNorm } from "../optim/clip.ts";
import type { Gradients } from "../optim/optimizer.ts";
import { scope } from "../tensor/scope.ts";
import type { Parameter, Tensor } from "../tensor/tensor.ts";
import type { SearchStep, StepResult } from "./method.ts";
import { unrolledGradient } from "./unrolled.ts";

/** The result of a step that stopped before it moved the weights: the search ends there. */
function diverged(weights: readonly Parameter[], gradients: Gradients): StepResult {
  const at = gradients.findIndex((gradient) => gradient && countNotFinite(gradient) > 0);
  return { trainLoss: Number.NaN, trainCorrect: 0, spoiled: weights[at] };
}

/** Moves the weights on the step's training batch: gradient, clipping of the weights only, SGD. */
export function weightStep(step: SearchStep): StepResult {
  return scope(() => {
    const { value, correct, gradients } = countedGradient(step, step.weights);
    // Before the weights are touched: a gradient that is not finite would spoil them for good.
    if (!Number.isFinite(clipGradNorm(gradients, step.gradClip))) return diverged(step.weights, gradients);
    step.weightOptimizer.step(gradients);
    return { trainLoss: value, trainCorrect: correct };
  });
}

/** Moves the alphas by ∇α L_V(w, α): the first-order approximation. Returns the validation loss. */
export function firstOrderStep(step: SearchStep, batch: TensorBatch): number {
  return scope(() => {
    const { value, gradients } = lossGradient(step.loss(batch, "architecture"), step.alphas);
    // A loss that is not finite ends the search: it must not spoil the alphas before they are looked at.
    if (Number.isFinite(value)) step.archOptimizer.step(gradients);
    return value;
  });
}

/** Moves the alphas by the unrolled gradient. Returns the validation loss at the virtual weights. */
export function secondOrderStep(step: SearchStep, batch: TensorBatch): number {
  const { weightOptimizer } = step;
  return scope(() => {
    const { gradients, validLoss } = unrolledGradient(
      {
        weights: step.weights,
        alphas: step.alphas,
        buffers: step.buffers,
        trainLoss: step.loss(step.trainBatch, "architecture"),
        validLoss: step.loss(batch, "architecture"),
      },
      {
        learningRate: weightOptimizer.learningRate,
        momentum: weightOptimizer.momentum,
        weightDecay: weightOptimizer.weightDecay,
        momentumBuffer: (i) => weightOptimizer.stateOf(i, "momentum_buffer"),
        device: step.device,
      },
    );
    if (Number.isFinite(validLoss)) step.archOptimizer.step(gradients);
    return validLoss;
  });
}

/** Moves alphas and weights by the gradients of one and the same pass (one-level optimisation). */
export function jointStep(step: SearchStep): StepResult {
  return scope(() => {
    const { value, correct, gradients } = countedGradient(step, [...step.alphas, ...step.weights]);
    const forWeights = gradients.slice(step.alphas.length);
    if (!Number.isFinite(clipGradNorm(forWeights, step.gradClip))) return diverged(step.weights, forWeights);
    step.archOptimizer.step(gradients.slice(0, step.alphas.length));
    step.weightOptimizer.step(forWeights);
    return { trainLoss: value, trainCorrect: correct, archLoss: value };
  });
}

/** Loss, gradient and correctly classified images of the step's training batch. */
function countedGradient(step: SearchStep, inputs: readonly Tensor[]): LossGradient & { correct: number } {
  let correct = 0;
  const loss = step.loss(step.trainBatch, "weights", (logits, labels) => {
    correct += topCorrect(logits, labels, 1);
  });
  const found = lossGradient(loss, inputs);
  return { ...found, correct };
}
