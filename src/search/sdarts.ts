// SmoothDARTS: Stabilizing Differentiable Architecture Search via Perturbation-based Regularization (Chen, Hsieh,
// ICML 2020, arXiv:2002.05283). The weights are trained under perturbed probabilities, so that the validation loss
// gets smooth around the alphas; the alphas step as in DARTS. SDARTS-RS draws the perturbation, SDARTS-ADV searches
// for the worst one by projected gradient ascent (equations 5 and 6). The radius, in probability, grows with the epochs.
import { deriveGenotype } from "../genotype/discretize.ts";
import type { OptionsOf } from "../methods/declaration.ts";
import type { sdartsAdv, sdartsRs } from "../methods/sdarts.ts";
import type { SoftmaxOver } from "../methods/softmax-option.ts";
import { lossGradient, lossValue } from "../optim/accumulate.ts";
import type { Gradients } from "../optim/optimizer.ts";
import { linear } from "../optim/schedule.ts";
import type { Generator } from "../random/generator.ts";
import type { Mixture } from "../space/supernet.ts";
import { aten } from "../tensor/aten.ts";
import { noGrad } from "../tensor/autograd.ts";
import { scope } from "../tensor/scope.ts";
import { type Tensor, tensor } from "../tensor/tensor.ts";
import { asRows, createAlphas, dartsRule, named, rowsOf, softmaxMixture } from "./alphas.ts";
import { weightStep } from "./bilevel.ts";
import { dartsStep } from "./darts.ts";
import type { MethodContext, SearchMethod } from "./method.ts";

/** Probabilities of the normal and of the reduction cells, [edges, primitives] each. */
type Probabilities = readonly Tensor[];

/** What a perturbation has to go by. */
interface Perturbation {
  /** What sums to 1. */
  readonly softmax: SoftmaxOver;
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
  return createSdarts(context, options, drawAround);
}

/** SDARTS-ADV. */
export function createSdartsAdv(context: MethodContext, options: OptionsOf<typeof sdartsAdv>): SearchMethod {
  const { attackSteps } = options;
  return createSdarts(context, options, (clean, how) => attack(clean, how, attackSteps));
}

function createSdarts(
  context: MethodContext,
  { epsilon, epsilonMin, softmax }: OptionsOf<typeof sdartsRs>,
  perturb: Perturb,
): SearchMethod {
  const { epochs, primitives, candidates, random } = context;
  const mixing = { over: softmax, candidates };
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
    mixture: (purpose) => (purpose === "weights" && imposed ? imposed : softmaxMixture(alphas, mixing)),
    step: (step) =>
      dartsStep(step, context, () =>
        scope(() => {
          const { normal, reduce } = noGrad(() => softmaxMixture(alphas, mixing));
          const clean = [normal.operations, reduce.operations];
          const perturbed = step.evaluating(() =>
            perturb(clean, {
              softmax,
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
    derive: () => deriveGenotype(rowsOf(alphas, candidates), primitives, dartsRule(softmax)),
    alphaRows: () => rowsOf(alphas, candidates),
    strengths: () => softmaxMixture(alphas, mixing),
    figures: (epoch) => ({ epsilon: radiusAt(epoch) }),
  };
}

/** Uniform numbers in ±radius added to every probability, and the projection. */
function drawAround(
  clean: Probabilities,
  { radius, random, softmax }: Pick<Perturbation, "radius" | "random" | "softmax">,
): Tensor[] {
  return noGrad(() =>
    clean.map((p) => {
      const { shape, dtype, device, numel } = p;
      const noise = Array.from({ length: numel }, () => radius * (2 * random.uniform() - 1));
      // An edge gets no probability of a candidate that it does not have.
      const there = aten.gt.Scalar(p, 0).to({ dtype });
      return asRows(p.add(tensor(noise, shape, { dtype, device }).mul(there)), softmax, project);
    }),
  );
}

/**
 * The worst probabilities within ±radius that `steps` steps of 2·radius/steps along the gradient's sign find from a
 * random start; the given ones when the loss has not grown by them.
 */
function attack(clean: Probabilities, how: Perturbation, steps: number): Probabilities {
  const { radius, softmax, lossAt, gradientAt } = how;
  const before = lossAt(clean);
  let worst: Probabilities = drawAround(clean, how);
  for (let i = 0; i < steps; i++) {
    worst = scope(() => {
      const leaves = worst.map((p) => p.detach().setRequiresGrad());
      const gradients = gradientAt(leaves);
      return noGrad(() =>
        leaves.map((p, cell) => {
          const gradient = gradients[cell];
          const moved = gradient ? p.add(aten.sign.default(gradient).mul((2 * radius) / steps)) : p;
          const shift = aten.clamp.default(moved.sub(clean[cell]!), -radius, radius);
          return asRows(clean[cell]!.add(shift), softmax, project);
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
