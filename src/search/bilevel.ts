// The steps that methods are put together from: one for the weights, one for the alphas (first or second order),
// and one for both at once (DARTS, algorithm 1 and the one-level ablation).

import type { TensorBatch } from "../data/batch-tensors.ts";
import { countNotFinite } from "../nn/divergence.ts";
import { topCorrect } from "../nn/loss.ts";
import { type Loss, lossGradient } from "../optim/accumulate.ts";
import { clipGradNorm } from "../optim/clip.ts";
import type { Gradients } from "../optim/optimizer.ts";
import { scope } from "../tensor/scope.ts";
import type { Parameter } from "../tensor/tensor.ts";
import type { Purpose, SearchStep, StepResult } from "./method.ts";
import { unrolledGradient } from "./unrolled.ts";

/** The result of a step that stopped before it moved the weights: the search ends there. */
function diverged(weights: readonly Parameter[], gradients: Gradients): StepResult {
  const at = gradients.findIndex((gradient) => gradient && countNotFinite(gradient) > 0);
  return { trainLoss: Number.NaN, trainCorrect: 0, spoiled: weights[at] };
}

/** Moves the weights on the step's training batch: gradient, clipping of the weights only, SGD. */
export function weightStep(step: SearchStep): StepResult {
  return scope(() => {
    const { loss, seen } = counted(step, step.trainBatch, "weights");
    const { gradients } = lossGradient(loss, step.weights);
    // Before the weights are touched: a gradient that is not finite would spoil them for good.
    if (!Number.isFinite(clipGradNorm(gradients, step.gradClip))) return diverged(step.weights, gradients);
    step.weightOptimizer.step(gradients);
    return { trainLoss: seen.crossEntropy, trainCorrect: seen.correct };
  });
}

/** Moves the alphas by ∇α L_V(w, α): the first-order approximation. Returns the validation loss. */
export function firstOrderStep(step: SearchStep, batch: TensorBatch): number {
  return scope(() => {
    const { loss, seen } = counted(step, batch, "architecture");
    const { gradients } = lossGradient(loss, step.alphas);
    // A loss that is not finite ends the search: it must not spoil the alphas before they are looked at.
    if (!Number.isFinite(seen.crossEntropy)) return seen.crossEntropy;
    return moveAlphas(step, gradients) ? seen.crossEntropy : Number.NaN;
  });
}

/** Moves the alphas by the unrolled gradient. Returns the validation loss at the virtual weights. */
export function secondOrderStep(step: SearchStep, batch: TensorBatch): number {
  const { weightOptimizer } = step;
  return scope(() => {
    const { loss, seen } = counted(step, batch, "architecture");
    const { gradients } = unrolledGradient(
      {
        weights: step.weights,
        alphas: step.alphas,
        buffers: step.buffers,
        trainLoss: step.loss(step.trainBatch, "architecture"),
        validLoss: loss,
      },
      {
        learningRate: weightOptimizer.learningRate,
        momentum: weightOptimizer.momentum,
        nesterov: weightOptimizer.nesterov,
        weightDecay: weightOptimizer.weightDecay,
        momentumBuffer: (i) => weightOptimizer.stateOf(i, "momentum_buffer"),
        device: step.device,
        random: step.random,
      },
    );
    // A loss that is not finite ends the search: it must not spoil the alphas before they are looked at.
    if (!Number.isFinite(seen.crossEntropy)) return seen.crossEntropy;
    return moveAlphas(step, gradients) ? seen.crossEntropy : Number.NaN;
  });
}

/** Moves alphas and weights by the gradients of one and the same pass (one-level optimisation). */
export function jointStep(step: SearchStep): StepResult {
  return scope(() => {
    const { loss, seen } = counted(step, step.trainBatch, "both");
    const { gradients } = lossGradient(loss, [...step.alphas, ...step.weights]);
    const forWeights = gradients.slice(step.alphas.length);
    const forAlphas = gradients.slice(0, step.alphas.length);
    if (!Number.isFinite(clipGradNorm(forWeights, step.gradClip))) return diverged(step.weights, forWeights);
    if (!moveAlphas(step, forAlphas)) return diverged(step.alphas, forAlphas);
    step.weightOptimizer.step(forWeights);
    return { trainLoss: seen.crossEntropy, trainCorrect: seen.correct, archLoss: seen.crossEntropy };
  });
}

/** Clips the alphas' gradient and steps; returns false when there was no clipping it, and then nothing moved. */
function moveAlphas(step: SearchStep, gradients: Gradients): boolean {
  if (step.archGradClip > 0 && !Number.isFinite(clipGradNorm(gradients, step.archGradClip))) return false;
  step.archOptimizer.step(gradients);
  return true;
}

/** A batch's loss, and what will have been seen when it was computed: cross-entropy, and images classified rightly. */
function counted(
  step: SearchStep,
  batch: TensorBatch,
  purpose: Purpose,
): { loss: Loss; seen: { crossEntropy: number; correct: number } } {
  const seen = { crossEntropy: 0, correct: 0 };
  const loss = step.loss(batch, purpose, (logits, labels, crossEntropy) => {
    seen.crossEntropy += crossEntropy.item();
    seen.correct += topCorrect(logits, labels, 1);
  });
  return { loss, seen };
}
