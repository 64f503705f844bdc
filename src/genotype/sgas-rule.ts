// By what SGAS decides an edge every few epochs (Li et al., CVPR 2020, section 3.3): how much the edge matters,
// how certain its choice is and, for criterion 2, how stable the choice has been.
import type { Primitive } from "../space/primitives.ts";
import { checkAlphas } from "./discretize.ts";
import { entropy, type Matrix, softmaxRows } from "./softmax.ts";

/** What SGAS measures on each edge; all arrays are by edge. */
export interface SgasScores {
  /** Probability of all operations but `none`. */
  readonly importance: readonly number[];
  /** One minus the entropy of the operations but `none`, as a share of the largest. */
  readonly certainty: readonly number[];
  /** Mean overlap of that distribution with those of earlier epochs; 0 while there are none. */
  readonly stability: readonly number[];
  /** Criterion 1: product of importance and certainty, each scaled to [0, 1] over the edges. */
  readonly criterion1: readonly number[];
  /** Criterion 2: criterion 1 times the scaled stability. */
  readonly criterion2: readonly number[];
}

/** A decided edge: its row in the alphas and its operation. */
export interface SgasDecision {
  readonly edge: number;
  readonly op: Primitive;
}

/** The scores of one cell's alphas [edges][operations]; `history` holds the {@link choiceRows} of up to 4 epochs. */
export function sgasScores(
  alphas: Matrix,
  primitives: readonly Primitive[],
  history: readonly Matrix[] = [],
): SgasScores {
  const choices = choiceRows(alphas, primitives);
  const none = primitives.indexOf("none");
  const importance = softmaxRows(alphas).map((row) => 1 - (row[none] ?? 0));
  const most = Math.log(choices[0]!.length);
  const certainty = choices.map((row) => 1 - entropy(row) / most);
  const stability = choices.map((row, edge) => {
    const overlaps = history.map((past) => overlap(row, past[edge]!));
    return overlaps.reduce((sum, value) => sum + value, 0) / Math.max(1, overlaps.length);
  });
  const scaled = [importance, certainty, stability].map(scale);
  const criterion1 = importance.map((_, edge) => scaled[0]![edge]! * scaled[1]![edge]!);
  const criterion2 = criterion1.map((score, edge) => score * scaled[2]![edge]!);
  return { importance, certainty, stability, criterion1, criterion2 };
}

/** For each edge the distribution over the operations but `none`. */
export function choiceRows(alphas: Matrix, primitives: readonly Primitive[]): number[][] {
  return softmaxRows(
    checkAlphas(alphas, primitives).map((row) => row.filter((_, k) => primitives[k] !== "none")),
  );
}

/** The undecided edge of the highest score, with its most probable operation; undefined when all are decided. */
export function sgasDecide(
  scores: readonly number[],
  undecided: Iterable<number>,
  alphas: Matrix,
  primitives: readonly Primitive[],
): SgasDecision | undefined {
  const edge = [...undecided].sort((a, b) => scores[b]! - scores[a]! || a - b)[0];
  if (edge === undefined) return undefined;
  const ops = primitives.filter((op) => op !== "none");
  const choice = choiceRows(alphas, primitives)[edge]!;
  return { edge, op: ops[choice.indexOf(Math.max(...choice))]! };
}

function overlap(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, k) => sum + Math.min(value, b[k]!), 0);
}

/** Scales to [0, 1] over the edges; all zeros where the edges do not differ. */
function scale(values: readonly number[]): number[] {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  return values.map((value) => (most > least ? (value - least) / (most - least) : 0));
}
