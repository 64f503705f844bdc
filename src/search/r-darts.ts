// R-DARTS: Understanding and Robustifying Differentiable Architecture Search (Zela et al., ICLR 2020,
// arXiv:1909.09656). DARTS finds bad cells where the validation loss gets sharp in the alphas. So the largest eigenvalue
// of its Hessian is watched, and when its local average grows the search ends and goes back to before (section 4.3);
// or the weights are regularised more: search.weightDecay, and drop-path on the supernet's edges (section 5).
// Not here: the adaptive form (DARTS-ADA), which goes back to the weights of that epoch, up to twelve before, multiplies the
// weight decay (by 3 up to 0.0243; its script: by 10 up to 0.03) and searches on from there; a search keeps the weights of
// its last two epochs and of its best one. Its cure by hand: a new search with a larger search.weightDecay.
import { deriveGenotype } from "../genotype/discretize.ts";
import type { OptionsOf } from "../methods/declaration.ts";
import type { rDarts } from "../methods/r-darts.ts";
import { linear } from "../optim/schedule.ts";
import { createAlphas, named, rowsOf, softmaxMixture } from "./alphas.ts";
import { dartsStep } from "./darts.ts";
import { type EigenvalueSample, evLocalAverage } from "./ev-local-average.ts";
import type { MethodContext, SearchMethod } from "./method.ts";

/** The method of the RobustDARTS paper. */
export function createRDarts(context: MethodContext, options: OptionsOf<typeof rDarts>): SearchMethod {
  const { candidates, epochs, primitives } = context;
  const { earlyStop, eigenvalueEvery: every, window, delta, factor, startEpoch: start, dropPath } = options;
  const alphas = createAlphas(context);
  let samples: readonly EigenvalueSample[] = [];
  const dropPathAt = (epoch: number) => linear(0, dropPath, Math.max(1, epochs - 1), epoch);
  return {
    alphas: new Map(named("alphas", alphas)),
    mixture: (_purpose, epoch) => ({
      ...softmaxMixture(alphas, { candidates }),
      dropPath: dropPathAt(epoch),
    }),
    step: (step) => dartsStep(step, context),
    derive: () => deriveGenotype(rowsOf(alphas, candidates), primitives),
    alphaRows: () => rowsOf(alphas, candidates),
    strengths: () => softmaxMixture(alphas, { candidates }),
    figures: (epoch) => ({ dropPath: dropPathAt(epoch) }),
    wantsEigenvalue: (epoch) => epoch % every === 0,
    endEpoch(epoch, { eigenvalue }) {
      if (eigenvalue === undefined) return undefined;
      samples = [...samples, { epoch, value: eigenvalue }];
      const found = earlyStop ? evLocalAverage(samples, { every, window, delta, factor, start }) : undefined;
      if (!found) return undefined;
      const reason = `the local average of the largest eigenvalue has grown ${found.growth.toFixed(2)} times`;
      return { rule: "eigenvalue", reason, back: found.back };
    },
    state: () => samples,
    restore(state) {
      samples = state as EigenvalueSample[];
    },
  };
}
