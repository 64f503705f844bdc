// DARTS: Differentiable Architecture Search (Liu, Simonyan, Yang, ICLR 2019, arXiv:1806.09055).
// A softmax over the candidates of each edge (or, by option, I-DARTS' over those of a node); the alphas step first, on a
// batch of their own, then the weights.
// One-level: `joint` moves both by one pass, `alternating` takes turns, both on all training images (section 2.3).
import type { darts } from "../methods/darts.ts";
import type { OptionsOf } from "../methods/declaration.ts";
import {
  createAlphas,
  dartsRule,
  deriveIn,
  inputsOf,
  named,
  rowsOf,
  softmaxMixture,
  softmaxStrengths,
} from "./alphas.ts";
import { firstOrderStep, jointStep, secondOrderStep, weightStep } from "./bilevel.ts";
import type { MethodContext, SearchMethod, SearchStep, StepResult } from "./method.ts";

/** The method of the DARTS paper. */
export function createDarts(context: MethodContext, { softmax }: OptionsOf<typeof darts>): SearchMethod {
  const { candidates } = context;
  const alphas = createAlphas(context);
  const mixing = { over: softmax, candidates: context.candidates, inputs: inputsOf(context) };
  return {
    alphas: new Map(named("alphas", alphas)),
    mixture: () => softmaxMixture(alphas, mixing),
    step: (step) => dartsStep(step, context),
    derive: () => deriveIn(context, rowsOf(alphas, candidates), dartsRule(softmax)),
    alphaRows: () => rowsOf(alphas, candidates),
    strengths: () => softmaxStrengths(alphas, mixing),
  };
}

/**
 * One step in the published order: alphas, then weights; in a joint step both by one pass. A method that trains its
 * weights in another way gives its own `moveWeights`.
 */
export function dartsStep(
  step: SearchStep,
  { order, archFromEpoch }: Pick<MethodContext, "order" | "archFromEpoch">,
  moveWeights: (step: SearchStep) => StepResult = weightStep,
): StepResult {
  if (step.epoch < archFromEpoch) return moveWeights(step);
  if (order === "joint") return jointStep(step);
  const moveAlphas = order === "second" ? secondOrderStep : firstOrderStep;
  const archLoss = moveAlphas(step, step.archBatch());
  return { ...moveWeights(step), archLoss };
}
