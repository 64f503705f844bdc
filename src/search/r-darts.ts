// R-DARTS: Understanding and Robustifying Differentiable Architecture Search (Zela et al., ICLR 2020,
// arXiv:1909.09656). DARTS finds bad cells where the validation loss gets sharp in the alphas. So the largest eigenvalue
// of its Hessian is watched, and when its local average grows the search ends and goes back to before (section 4.3);
// or the weights are regularised more: search.weightDecay, and drop-path on the supernet's edges (section 5).
// The adaptive form (DARTS-ADA; train_search.py, early_stop 3) does both: instead of ending, it goes back to the weights,
// alphas and optimizers of that epoch, multiplies the weight decay and searches on by the schedule from there, again and
// again, until the weight decay is at its maximum; from then on nothing stops it. The search's epochs are counted on, so
// that there come to be more of them. Unlike the code, whose arguments leave those of later epochs standing, the
// measurements go back as well; and a product above the maximum is the maximum.
import type { OptionsOf } from "../methods/declaration.ts";
import type { rDarts } from "../methods/r-darts.ts";
import { linear } from "../optim/schedule.ts";
import { createAlphas, deriveIn, named, rowsOf, softmaxMixture, softmaxStrengths } from "./alphas.ts";
import { dartsStep } from "./darts.ts";
import { type EigenvalueSample, evLocalAverage } from "./ev-local-average.ts";
import type { EarlyEnd, MethodContext, SearchMethod } from "./method.ts";

/** 3e-4 · 10 · 10 is not 0.03 to the last bit, and shall not be raised once more. */
const ROUNDING = 1e-9;

/** An eigenvalue by its epoch of the schedule, and the search's own number of that epoch. */
interface Sample extends EigenvalueSample {
  readonly number: number;
}

interface State {
  readonly samples: readonly Sample[];
  /** Epochs that the search has gone back in all: its numbers run ahead of the schedule by so many. */
  readonly ahead: number;
  readonly weightDecay: number;
}

/** The method of the RobustDARTS paper. */
export function createRDarts(context: MethodContext, options: OptionsOf<typeof rDarts>): SearchMethod {
  const { candidates, epochs } = context;
  const { earlyStop, adapt, weightDecayFactor, weightDecayMax, dropPath } = options;
  const { eigenvalueEvery: every, window, delta, factor, startEpoch: start } = options;
  const alphas = createAlphas(context);
  let state: State = { samples: [], ahead: 0, weightDecay: context.weightDecay };
  const scheduled = (epoch: number) => epoch - state.ahead;
  const dropPathAt = (epoch: number) => linear(0, dropPath, Math.max(1, epochs - 1), scheduled(epoch));
  const wantsEigenvalue = (epoch: number) => scheduled(epoch) % every === 0;
  const raised = (weightDecay: number) => {
    const product = weightDecay * weightDecayFactor;
    return product < weightDecayMax * (1 - ROUNDING) ? product : weightDecayMax;
  };
  /** How often it can still go back. */
  const raisesLeft = () => {
    let count = 0;
    if (adapt) for (let value = state.weightDecay; value < weightDecayMax; value = raised(value)) count++;
    return count;
  };
  /** Samples that lie between the next one and the one that it would go back to, which is among them. */
  const reach = Math.floor(window / 2) + delta;

  const goBack = (now: Sample, to: Sample): void => {
    state = {
      samples: state.samples.filter(({ epoch }) => epoch <= to.epoch),
      ahead: state.ahead + now.epoch - to.epoch,
      weightDecay: raised(state.weightDecay),
    };
  };

  return {
    alphas: new Map(named("alphas", alphas)),
    mixture: (_purpose, epoch) => ({
      ...softmaxMixture(alphas, { candidates }),
      dropPath: dropPathAt(epoch),
    }),
    step: (step) => dartsStep({ ...step, epoch: scheduled(step.epoch) }, context),
    derive: () => deriveIn(context, rowsOf(alphas, candidates)),
    alphaRows: () => rowsOf(alphas, candidates),
    strengths: () => softmaxStrengths(alphas, { candidates }),
    figures: (epoch) => ({ dropPath: dropPathAt(epoch), ...(adapt && { weightDecay: state.weightDecay }) }),
    shape: () => ({ schedule: { first: state.ahead, epochs } }),
    weightDecay: () => state.weightDecay,
    mostKept: Math.min(reach * raisesLeft(), Math.max(0, Math.ceil((epochs - start) / every))),
    // Where the next sample may go back to, where the one after that, and so on.
    kept: () => {
      const near = state.samples.slice(Math.max(0, state.samples.length - reach * raisesLeft()));
      return near.filter(({ epoch }) => epoch >= start).map(({ number }) => number);
    },
    wantsEigenvalue,
    endEpoch(epoch, { eigenvalue }): EarlyEnd | undefined {
      // The guard may measure in between.
      if (eigenvalue === undefined || !wantsEigenvalue(epoch)) return undefined;
      const now = { epoch: scheduled(epoch), value: eigenvalue, number: epoch };
      state = { ...state, samples: [...state.samples, now] };
      const found = earlyStop
        ? evLocalAverage(state.samples, { every, window, delta, factor, start })
        : undefined;
      if (!found) return undefined;
      const rule = "eigenvalue";
      const grown = `the local average of the largest eigenvalue has grown ${found.growth.toFixed(2)} times`;
      const to = state.samples.find((sample) => sample.epoch === found.back)!;
      if (!adapt) return { rule, reason: grown, back: to.number };
      // As in the code, not after the last epoch.
      if (raisesLeft() === 0 || now.epoch + 1 >= epochs) return undefined;
      goBack(now, to);
      const weightDecay = Number(state.weightDecay.toPrecision(6));
      const reason = `${grown}; the search goes back and on with a weight decay of ${weightDecay}`;
      return { rule, reason, back: to.number, goesOn: true };
    },
    state: () => state,
    restore(saved) {
      state = saved as State;
    },
  };
}
