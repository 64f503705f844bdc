// SmoothDARTS: Stabilizing Differentiable Architecture Search via Perturbation-based Regularization (Chen, Hsieh,
// ICML 2020, arXiv:2002.05283). The weights are trained under perturbed probabilities, so that the validation loss
// gets smooth around the alphas; the alphas step as in DARTS. SDARTS-RS draws the perturbation, SDARTS-ADV searches
// for the worst one by projected gradient ascent (equations 5 and 6). The radius, in probability, grows with the epochs.
import { deriveGenotype } from "../genotype/discretize.ts";
import type { OptionsOf } from "../methods/declaration.ts";
import type { sdartsAdv, sdartsRs } from "../methods/sdarts.ts";
import { lossGradient, lossValue } from "../optim/accumulate.ts";
import type { Gradients } from "../optim/optimizer.ts";
import { linear } from "../optim/schedule.ts";
import type { Generator } from "../random/generator.ts";
import type { Mixture } from "../space/supernet.ts";
import { aten } from "../tensor/aten.ts";
import { noGrad } from "../tensor/autograd.ts";
import { scope } from "../tensor/scope.ts";
import { type Tensor, tensor } from "../tensor/tensor.ts";
import { createAlphas, named, rowsOf, softmaxMixture } from "./alphas.ts";
import { weightStep } from "./bilevel.ts";
import { dartsStep } from "./darts.ts";
import type { MethodContext, SearchMethod } from "./method.ts";

/** Probabilities of the normal and of the reduction cells, [edges, primitives] each. */
type Probabilities = readonly Tensor[];

/** What a perturbation has to go by. */
interface Perturbation {
  readonly radius: number;
  readonly random: Generator;
  /** Loss of the weights' batch under other probabilities, with running statistics. */
  lossAt(probabilities: Probabilities): number;
  /** Its gradient in them. */
  gradientAt(probabilities: Probabilities): Gradients;
}

type Perturb = (probabilities: Probabilities, how: Perturbation) => Probabilities;

/** SDARTS-RS. */
export function createSdartsRs(context: MethodContext, options: OptionsOf<typeof sdartsRs>): SearchMethod {
  return createSdarts(context, options, (probabilities, { radius, random }) =>
    drawAround(probabilities, radius, random),
  );
}

/** SDARTS-ADV. */
export function createSdartsAdv(context: MethodContext, options: OptionsOf<typeof sdartsAdv>): SearchMethod {
  const { attackSteps } = options;
  return createSdarts(context, options, (probabilities, how) => attack(probabilities, how, attackSteps));
}

function createSdarts(
  context: MethodContext,
  { epsilon, epsilonMin }: OptionsOf<typeof sdartsRs>,
  perturb: Perturb,
): SearchMethod {
  const { epochs, primitives, candidates, random } = context;
  const alphas = createAlphas(context);
  const radiusAt = (epoch: number) => linear(epsilonMin, epsilon, epochs, epoch);
  /** What the weights are trained under at this moment. */
  let imposed: Mixture | undefined;
  const under = <T>([normal, reduce]: Probabilities, fn: () => T): T => {
    imposed = { normal: { operations: normal! }, reduce: { operations: reduce! } };
    try {
      return fn();
    } finally {
      imposed = undefined;
    }
  };
  return {
    alphas: new Map(named("alphas", alphas)),
    mixture: (purpose) => (purpose === "weights" && imposed ? imposed : softmaxMixture(alphas, candidates)),
    step: (step) =>
      dartsStep(step, context, () =>
        scope(() => {
          const { normal, reduce } = softmaxMixture(alphas, candidates);
          const clean = [normal.operations.detach(), reduce.operations.detach()];
          const perturbed = step.evaluating(() =>
            perturb(clean, {
              radius: radiusAt(step.epoch),
              random,
              lossAt: (other) => under(other, () => lossValue(step.loss(step.trainBatch, "weights"))),
              gradientAt: (other) =>
                under(other, () => lossGradient(step.loss(step.trainBatch, "weights"), other).gradients),
            }),
          );
          return under(perturbed, () => weightStep(step));
        }),
      ),
    derive: () => deriveGenotype(rowsOf(alphas, candidates), primitives),
    alphaRows: () => rowsOf(alphas, candidates),
    figures: (epoch) => ({ epsilon: radiusAt(epoch) }),
  };
}

/** Uniform numbers in ±radius added to every probability, and the projection. */
function drawAround(probabilities: Probabilities, radius: number, random: Generator): Tensor[] {
  return noGrad(() =>
    probabilities.map((p) => {
      const { shape, dtype, device, numel } = p;
      const noise = Array.from({ length: numel }, () => radius * (2 * random.uniform() - 1));
      // An edge gets no probability of a candidate that it does not have.
      const there = aten.gt.Scalar(p, 0).to({ dtype });
      return project(p.add(tensor(noise, shape, { dtype, device }).mul(there)));
    }),
  );
}

/**
 * The worst probabilities within ±radius that `steps` steps of 2·radius/steps along the gradient's sign find from a
 * random start; the given ones when the loss has not grown by them.
 */
function attack(
  clean: Probabilities,
  { radius, random, lossAt, gradientAt }: Perturbation,
  steps: number,
): Probabilities {
  const before = lossAt(clean);
  let worst: Probabilities = drawAround(clean, radius, random);
  for (let i = 0; i < steps; i++) {
    worst = scope(() => {
      const leaves = worst.map((p) => p.detach().setRequiresGrad());
      const gradients = gradientAt(leaves);
      return noGrad(() =>
        leaves.map((p, cell) => {
          const gradient = gradients[cell];
          const moved = gradient ? p.add(aten.sign.default(gradient).mul((2 * radius) / steps)) : p;
          const shift = aten.clamp.default(moved.sub(clean[cell]!), -radius, radius);
          return project(clean[cell]!.add(shift));
        }),
      );
    });
  }
  return lossAt(worst) > before ? worst : clean;
}

/** Each row clamped to 0…1 and divided by its sum; where nothing is left, 1 at what was its largest number. */
export function project(rows: Tensor): Tensor {
  return noGrad(() =>
    scope(() => {
      const clamped = aten.clamp.default(rows, 0, 1);
      const sums = aten.sum.dim_IntList(clamped, [1], true);
      const largest = aten.argmax.default(rows, 1, true);
      const one = aten.scatter.value(aten.zeros_like.default(rows), 1, largest, 1);
      return aten.where.self(aten.eq.Scalar(sums, 0), one, clamped.div(sums));
    }),
  );
}
