// What a search reports of its alphas at each epoch: how decided it is, and whether it collapses to skips.
import type { Primitive } from "../space/primitives.ts";
import { type DiscretizationRule, deriveDarts } from "./discretize.ts";
import { type CellEdges, edgesOfCell } from "./genotype.ts";
import { entropy, type Matrix, softmaxRows } from "./softmax.ts";

/** A summary of one cell's alphas. */
export interface AlphaStatistics {
  /** Mean entropy of the edges' softmax in nats: log(operations) when level, 0 when decided. */
  readonly entropy: number;
  /** Entropy of each edge in nats. */
  readonly entropies: readonly number[];
  /** Skip connections in the cell that would be derived now; many in the normal cell announce a collapse. */
  readonly skips: number;
}

/** Summarises alphas [edges][operations] of one cell; zeros for a cell without any, which is fixed. */
export function alphaStatistics(
  alphas: Matrix,
  primitives: readonly Primitive[],
  rule: DiscretizationRule = deriveDarts,
): AlphaStatistics {
  if (alphas.length === 0) return { entropy: 0, entropies: [], skips: 0 };
  const entropies = softmaxRows(alphas).map(entropy);
  return { entropy: meanEntropy(alphas), entropies, skips: countSkips(rule({ alphas }, primitives)) };
}

/** The mean entropy of the edges' softmax in nats; zero for a cell without alphas, which is fixed. */
export function meanEntropy(alphas: Matrix): number {
  const entropies = softmaxRows(alphas).map(entropy);
  return entropies.reduce((sum, value) => sum + value, 0) / Math.max(1, entropies.length);
}

/** The number of skip connections among the edges of a cell. */
export function countSkips(cell: CellEdges): number {
  return edgesOfCell(cell).filter(([op]) => op === "skip_connect").length;
}
