// DARTS: Differentiable Architecture Search (Liu, Simonyan, Yang, ICLR 2019, arXiv:1806.09055).
// A softmax over the candidates of each edge; the alphas step first, on a batch of their own, then the weights.
// One-level: `joint` moves both by one pass, `alternating` takes turns, both on all training images (section 2.3).
import { deriveGenotype } from "../genotype/discretize.ts";
import { edgeOffset } from "../genotype/genotype.ts";
import { scope } from "../tensor/scope.ts";
import { Parameter, randn } from "../tensor/tensor.ts";
import { firstOrderStep, jointStep, secondOrderStep, weightStep } from "./bilevel.ts";
import type { AlphaRows, MethodContext, SearchMethod, SearchStep, StepResult } from "./method.ts";

/** Alphas near zero, [edges, primitives]: 1e-3 times standard normal numbers, so that no candidate leads. */
export function createAlphas({ nodes, primitives, device }: MethodContext): Parameter {
  return scope(
    () =>
      new Parameter(
        randn([edgeOffset(nodes), primitives.length])
          .mul(1e-3)
          .to({ device }),
      ),
  );
}

/** The method of the DARTS paper. */
export function createDarts(context: MethodContext): SearchMethod {
  const normal = createAlphas(context);
  const reduce = createAlphas(context);
  const alphaRows = (): AlphaRows => ({ normal: normal.toRows(), reduce: reduce.toRows() });
  return {
    alphas: new Map([
      ["alphas_normal", normal],
      ["alphas_reduce", reduce],
    ]),
    mixture: () => ({ normal: { operations: normal.softmax(1) }, reduce: { operations: reduce.softmax(1) } }),
    step: (step) => dartsStep(step, context),
    derive: () => deriveGenotype(alphaRows(), context.primitives),
    alphaRows,
  };
}

/** One step in the published order: alphas, then weights. */
export function dartsStep(
  step: SearchStep,
  { order, archFromEpoch }: Pick<MethodContext, "order" | "archFromEpoch">,
): StepResult {
  if (step.epoch < archFromEpoch) return weightStep(step);
  if (order === "joint") return jointStep(step);
  const moveAlphas = order === "second" ? secondOrderStep : firstOrderStep;
  const archLoss = moveAlphas(step, step.archBatch());
  return { ...weightStep(step), archLoss };
}
