// GDAS: Searching for A Robust Neural Architecture in Four GPU Hours (Dong, Yang, CVPR 2019, arXiv:1910.04465).
// Every pass draws one operation for each edge and computes only that one; its weight is 1, with the gradient of the
// soft sample behind it, which reaches the alphas of all operations (equations 4 to 6). Weights step first, then the
// alphas, each on a sample of its own. A node keeps its two most probable pairs of edge and operation. GDAS-FRC fixes
// the reduction cell and searches the normal one alone (section 3.3).
// Deviations from the reference code: a validation takes the most probable operations and draws none; clipping counts
// the weights alone, where the code lets the alphas' gradient into the norm; an operation that was not drawn does not
// move at all, where older versions of PyTorch would carry its momentum on.
import { deriveGdas, deriveGenotype } from "../genotype/discretize.ts";
import { FIXED_REDUCTION } from "../genotype/fixed-reduction.ts";
import { allNodes } from "../genotype/genotype.ts";
import type { OptionsOf } from "../methods/declaration.ts";
import type { gdas } from "../methods/gdas.ts";
import { linear } from "../optim/schedule.ts";
import { onCandidates } from "../space/candidates.ts";
import { NetworkCell } from "../space/network.ts";
import type { CellMixture, FixedReduction } from "../space/supernet.ts";
import { aten } from "../tensor/aten.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { createCellAlphas, masked } from "./alphas.ts";
import { firstOrderStep, weightStep } from "./bilevel.ts";
import { concreteSample, gumbelNoise, straightThrough } from "./concrete.ts";
import type { MethodContext, SearchMethod, SearchStep, StepResult } from "./method.ts";

/** The method of the GDAS paper: both cells searched or, beside the fixed reduction cell, the normal one. */
export function createGdas(
  context: MethodContext,
  { temperature, temperatureMin, fixedReduction }: OptionsOf<typeof gdas>,
): SearchMethod {
  const { epochs, primitives, candidates, random } = context;
  const normal = createCellAlphas(context);
  const reduce = fixedReduction ? undefined : createCellAlphas(context);
  const temperatureAt = (epoch: number) =>
    linear(temperature, temperatureMin, Math.max(1, epochs - 1), epoch);
  const sample = (logits: Tensor, epoch: number) =>
    concreteSample(logits, gumbelNoise(logits, random), temperatureAt(epoch));
  const rows = () => ({
    normal: onCandidates(normal.toRows(), candidates?.normal),
    reduce: reduce ? onCandidates(reduce.toRows(), candidates?.reduce) : [],
  });
  return {
    alphas: new Map([["alphas_normal", normal], ...(reduce ? ([["alphas_reduce", reduce]] as const) : [])]),
    ...(fixedReduction && { fixedReduction: FIXED_CELL }),
    mixture(purpose, epoch) {
      const mix = (cell: Tensor) => {
        const logits = cell.logSoftmax(1);
        return oneOnEachEdge(purpose === "validation" ? logits.softmax(1) : sample(logits, epoch));
      };
      const mixed = mix(masked(normal, candidates?.normal));
      return { normal: mixed, reduce: reduce ? mix(masked(reduce, candidates?.reduce)) : mixed };
    },
    step: (step) => gdasStep(step, context),
    derive() {
      if (!fixedReduction) return deriveGenotype(rows(), primitives, deriveGdas);
      const edges = deriveGdas({ alphas: rows().normal }, primitives);
      return { normal: edges, normalConcat: allNodes(context.nodes), ...FIXED_REDUCTION };
    },
    alphaRows: rows,
    strengths() {
      const strong = (cell: "normal" | "reduce", alphas: Tensor) => ({
        operations: masked(alphas, candidates?.[cell]).softmax(1),
      });
      return { normal: strong("normal", normal), ...(reduce && { reduce: strong("reduce", reduce) }) };
    },
    figures: (epoch) => ({ temperature: temperatureAt(epoch) }),
  };
}

/** The fixed cell among cells of a supernet, whose batch norms have no scale and shift. */
const FIXED_CELL: FixedReduction = {
  states: FIXED_REDUCTION.reduceConcat.length,
  create: (place, how) =>
    new NetworkCell({ ...FIXED_REDUCTION, normal: [], normalConcat: [] }, place, { ...how, affine: false }),
};

/** The most probable candidate of each edge alone, with the gradient of all probabilities. */
function oneOnEachEdge(probabilities: Tensor): CellMixture {
  const chosen = aten.argmax.default(probabilities, 1).toNumbers();
  return { operations: straightThrough(probabilities), active: chosen.map((k) => [k]) };
}

/** Weights, then alphas: the reverse of DARTS. */
function gdasStep(step: SearchStep, { archFromEpoch }: MethodContext): StepResult {
  const result = weightStep(step);
  const diverged = !Number.isFinite(result.trainLoss);
  if (diverged || step.epoch < archFromEpoch) return result;
  return { ...result, archLoss: firstOrderStep(step, step.archBatch()) };
}
