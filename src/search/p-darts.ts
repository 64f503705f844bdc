// P-DARTS: Progressive Differentiable Architecture Search (Chen, Xie, Wu, Tian, ICCV 2019, arXiv:1904.12760). A search
// in stages, each with a deeper supernet of new weights and fewer operations on each edge: the least probable ones are
// dropped between them (section 3.2). Skip connections get a dropout that fades within each stage, and the derived
// normal cell keeps few of them (section 3.3). Weights, alphas, both optimizers and the learning rate's schedule begin
// anew in each stage, as in the released code.

import { allNodes, edgeOffset } from "../genotype/genotype.ts";
import { derivePDarts, dropLeastOps } from "../genotype/p-darts-rule.ts";
import type { OptionsOf } from "../methods/declaration.ts";
import type { pDarts } from "../methods/p-darts.ts";
import { exponential } from "../optim/schedule.ts";
import { allCandidates, type Candidates, onCandidates } from "../space/candidates.ts";
import { BY_MEMORY } from "../space/primitives.ts";
import { SkipDropoutOp } from "../space/skip-dropout.ts";
import { noGrad } from "../tensor/autograd.ts";
import { scope } from "../tensor/scope.ts";
import { createAlphas, drawLogits, named, rowsOf, softmaxMixture } from "./alphas.ts";
import { dartsStep } from "./darts.ts";
import type { MethodContext, SearchMethod } from "./method.ts";

/** The method of the P-DARTS paper. */
export function createPDarts(context: MethodContext, options: OptionsOf<typeof pDarts>): SearchMethod {
  const { addCells, addChannels, dropOperations, skipDropout, maxSkips } = options;
  const { epochs, nodes, primitives, archFromEpoch } = context;
  const alphas = createAlphas(context);
  const begins = addCells.map((_, stage) => Math.floor((stage * epochs) / addCells.length));
  const stageOf = (epoch: number) => begins.findLastIndex((begin) => begin <= epoch);
  const lengthOf = (stage: number) => (begins[stage + 1] ?? epochs) - begins[stage]!;
  const dropoutAt = (epoch: number) => {
    const stage = stageOf(epoch);
    return skipDropoutAt(skipDropout[stage]!, epoch - begins[stage]!, {
      epochs: lengthOf(stage),
      archFromEpoch,
    });
  };

  let stage = stageOf(0);
  let candidates = context.candidates ?? allCandidates(edgeOffset(nodes), primitives.length);
  let epochNow = 0;
  /** Enters the next stage; `keep` says what the operations of an edge are dropped by, the smallest first. */
  const advance = (keep: (cell: Cell) => readonly (readonly number[])[]) => {
    stage++;
    const drop = (cell: Cell) => dropLeast(keep(cell), candidates[cell], dropOperations[stage]!);
    candidates = { normal: drop("normal"), reduce: drop("reduce") };
  };
  return {
    alphas: new Map(named("alphas", alphas)),
    createEdge: (edge) => new SkipDropoutOp(edge, () => dropoutAt(epochNow)),
    mixture(_purpose, epoch) {
      epochNow = epoch;
      return softmaxMixture(alphas, { candidates });
    },
    step: (step) => dartsStep({ ...step, epoch: step.epoch - begins[stageOf(step.epoch)]! }, context),
    derive() {
      const { normal, reduce } = rowsOf(alphas, candidates);
      return {
        normal: derivePDarts(normal, primitives, { maxSkips }),
        normalConcat: allNodes(nodes),
        reduce: derivePDarts(reduce, primitives),
        reduceConcat: allNodes(nodes),
      };
    },
    alphaRows: () => rowsOf(alphas, candidates),
    strengths: () => softmaxMixture(alphas, { candidates }),
    shape: () => ({
      stage,
      cells: context.cells + addCells[stage]!,
      channels: context.channels + addChannels[stage]!,
      candidates,
      schedule: { first: begins[stage]!, epochs: lengthOf(stage) },
    }),
    beginStage() {
      noGrad(() =>
        scope(() => {
          for (const cell of [alphas.normal, alphas.reduce]) cell.copy_(drawLogits(cell.shape, context));
        }),
      );
    },
    rehearsals: addCells.map((_, last) => () => {
      // Of a plugin's operation nothing is known: it counts as the largest.
      const row = primitives.map((name) => (name === "none" ? -BY_MEMORY.length : -BY_MEMORY.indexOf(name)));
      while (stage < last) advance((cell) => candidates[cell].map(() => row));
    }),
    figures: (epoch) => ({ stage, skipDropout: dropoutAt(epoch) }),
    endEpoch(epoch) {
      if (epoch + 1 >= epochs) return undefined;
      const rows = rowsOf(alphas, candidates);
      while (stage < stageOf(epoch + 1)) advance((cell) => rows[cell]);
      return undefined;
    },
    state: () => ({ stage, candidates }),
    restore(state) {
      ({ stage, candidates } = state as { stage: number; candidates: Candidates });
    },
  };
}

type Cell = "normal" | "reduce";

/** The dropout of epoch e of a stage: rate·(E−e−1)/E while only the weights move, then rate·exp(−0.2·(e−warm-up)). */
export function skipDropoutAt(
  rate: number,
  epoch: number,
  { epochs, archFromEpoch }: { readonly epochs: number; readonly archFromEpoch: number },
): number {
  return epoch < archFromEpoch
    ? (rate * (epochs - epoch - 1)) / epochs
    : exponential(rate, 0.2, epoch - archFromEpoch);
}

/** Each edge's candidates without the `count` of the smallest numbers in `rows`. */
function dropLeast(
  rows: readonly (readonly number[])[],
  candidates: readonly (readonly number[])[],
  count: number,
): number[][] {
  const left = dropLeastOps(onCandidates(rows, candidates), count);
  return candidates.map((open, edge) => open.filter((k) => left[edge]![k] !== Number.NEGATIVE_INFINITY));
}
