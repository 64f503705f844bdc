// I-DARTS: Improved Differentiable Architecture Search for Language Modeling and Named Entity Recognition (Jiang et al.,
// EMNLP 2019). The pairs of edge and operation into a node compete in one softmax, where DARTS gives each edge one of its
// own; so two states may be linked by several operations, or by none. All else is as in DARTS.
// What could not be read in the paper, and is our choice: a node keeps as many pairs as `pairs` says; where the space has
// `none`, it takes part in the softmax as in DARTS and is never kept (the presets' space has none); cells are
// convolutional. A node's weights sum to 1, where those of DARTS sum to the number of its edges.
import { deriveGenotype, deriveIDarts } from "../genotype/discretize.ts";
import type { OptionsOf } from "../methods/declaration.ts";
import type { iDarts } from "../methods/i-darts.ts";
import { createAlphas, named, rowsOf, softmaxMixture } from "./alphas.ts";
import { dartsStep } from "./darts.ts";
import type { MethodContext, SearchMethod } from "./method.ts";

/** The method of the I-DARTS paper. */
export function createIDarts(context: MethodContext, { pairs }: OptionsOf<typeof iDarts>): SearchMethod {
  const { candidates, primitives } = context;
  const alphas = createAlphas(context);
  return {
    alphas: new Map(named("alphas", alphas)),
    mixture: () => softmaxMixture(alphas, { over: "node", candidates }),
    step: (step) => dartsStep(step, context),
    derive: () =>
      deriveGenotype(rowsOf(alphas, candidates), primitives, (logits, ops) =>
        deriveIDarts(logits, ops, pairs),
      ),
    alphaRows: () => rowsOf(alphas, candidates),
    strengths: () => softmaxMixture(alphas, { over: "node", candidates }),
  };
}
