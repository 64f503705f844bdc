// SNAS: Stochastic Neural Architecture Search (Xie, Zheng, Liu, Lin, ICLR 2019, arXiv:1812.09926).
// Every pass mixes each edge by a soft sample of the concrete distribution, softmax((alpha + Gumbel noise)/τ), through
// which gradients reach the alphas (equation 3); one loss on all images moves weights and alphas (section 2.2), and a
// price on the sampled cells' resources makes them small (section 2.3). `none` may win: an edge without an operation.
// Deviations from the reference code: a validation takes the sample without noise and draws none; the cost is always
// the reparametrised one, not that by the score function.
import { deriveSnas, deriveSnasTwoEdges } from "../genotype/discretize.ts";
import type { OptionsOf } from "../methods/declaration.ts";
import type { snas } from "../methods/snas.ts";
import { linear } from "../optim/schedule.ts";
import { noGrad } from "../tensor/autograd.ts";
import { scope } from "../tensor/scope.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { createAlphas, deriveIn, logitsOn, mixtureOf, named, rowsOf, softmaxStrengths } from "./alphas.ts";
import { concreteSample, gumbelNoise } from "./concrete.ts";
import { dartsStep } from "./darts.ts";
import type { MethodContext, SearchMethod } from "./method.ts";
import { createResourcePrice } from "./resource-price.ts";

/** The method of the SNAS paper. */
export function createSnas(context: MethodContext, options: OptionsOf<typeof snas>): SearchMethod {
  const { epochs, candidates, random } = context;
  const { temperature, temperatureMin, resourceWeight, dropPath, keep } = options;
  const alphas = createAlphas(context, { mean: 1, deviation: 0.01 });
  const temperatureAt = (epoch: number) => linear(temperature, temperatureMin, epochs, epoch);
  const price = createResourcePrice(context, {
    kind: options.resourceKind,
    scale: options.resourceScale,
    reduceWeight: options.resourceReduceWeight,
  });
  return {
    alphas: new Map(named("alphas", alphas)),
    mixture(purpose, epoch) {
      const sample = (logits: Tensor) =>
        purpose === "validation"
          ? logits.div(temperatureAt(epoch)).softmax(1)
          : concreteSample(logits, gumbelNoise(logits, random), temperatureAt(epoch));
      const logits = logitsOn(alphas, candidates);
      const normal = sample(logits.normal);
      const reduce = logits.reduce && sample(logits.reduce);
      const mixture = { ...mixtureOf({ operations: normal }, reduce && { operations: reduce }), dropPath };
      const movesAlphas = purpose === "architecture" || purpose === "both";
      if (resourceWeight === 0 || !movesAlphas) return mixture;
      return { ...mixture, penalty: price(normal, reduce).mul(resourceWeight) };
    },
    step: (step) => dartsStep(step, context),
    derive: () =>
      deriveIn(context, rowsOf(alphas, candidates), keep === "every-edge" ? deriveSnas : deriveSnasTwoEdges),
    alphaRows: () => rowsOf(alphas, candidates),
    strengths: () => softmaxStrengths(alphas, { candidates }),
    figures(epoch) {
      const resourcePrice = noGrad(() =>
        scope(() => {
          const { normal, reduce } = logitsOn(alphas, candidates);
          return price(normal.softmax(1), reduce?.softmax(1)).item();
        }),
      );
      return { temperature: temperatureAt(epoch), resourcePrice };
    },
  };
}
