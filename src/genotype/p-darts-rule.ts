// How P-DARTS shrinks its search space between stages and derives its cell with few skip connections
// (Chen et al., ICCV 2019, sections 3.2 and 3.3). Dropped operations are alphas of -Infinity.
import { UserError } from "../errors.ts";
import type { Primitive } from "../space/primitives.ts";
import { checkAlphas, keepTwoEdges } from "./discretize.ts";
import { type Edge, edgeOffset, edgesOfCell } from "./genotype.ts";
import { type Matrix, softmaxRows } from "./softmax.ts";

/** Below every probability, so that a skip that was ruled out loses even against a dropped operation. */
const RULED_OUT = -1;

/**
 * The `count` least probable operations of one edge, as column indices from the least probable on; `none` is
 * treated like any other, and operations that were dropped before (-Infinity) are not named again.
 */
export function leastOps(row: readonly number[], count: number): number[] {
  return row
    .map((alpha, op) => ({ alpha, op }))
    .filter(({ alpha }) => alpha !== Number.NEGATIVE_INFINITY)
    .sort((a, b) => a.alpha - b.alpha)
    .slice(0, count)
    .map(({ op }) => op);
}

/** The alphas [edges][operations] with the `count` least probable operations of each edge at -Infinity. */
export function dropLeastOps(alphas: Matrix, count: number): number[][] {
  return alphas.map((row) => {
    const dropped = leastOps(row, count);
    return row.map((alpha, op) => (dropped.includes(op) ? Number.NEGATIVE_INFINITY : alpha));
  });
}

/**
 * P-DARTS: as DARTS on the operations that are left, but while the cell has more than `maxSkips` skip
 * connections, the weakest of them loses its operation and the cell is derived anew. The two edges of a
 * node stand in the order of their predecessors. The paper restricts the normal cell only (to 2).
 */
export function derivePDarts(
  alphas: Matrix,
  primitives: readonly Primitive[],
  { maxSkips = Number.POSITIVE_INFINITY }: { maxSkips?: number } = {},
): Edge[] {
  const skip = primitives.indexOf("skip_connect");
  const strengths = softmaxRows(checkAlphas(alphas, primitives));
  for (;;) {
    const edges = edgesOfCell(keepTwoEdges(strengths, primitives));
    const skips = edges.flatMap(([op, from], i) =>
      op === "skip_connect" ? [edgeOffset(Math.floor(i / 2)) + from] : [],
    );
    if (skips.length <= maxSkips) return sortByPredecessor(edges);
    const weakest = skips.reduce((a, b) => (strengths[b]![skip]! < strengths[a]![skip]! ? b : a));
    if (strengths[weakest]![skip] === RULED_OUT) {
      throw new UserError(`maxSkips: got ${maxSkips}, but an edge has no operation left but skip_connect`);
    }
    strengths[weakest]![skip] = RULED_OUT;
  }
}

function sortByPredecessor(edges: readonly Edge[]): Edge[] {
  return edges
    .map((edge, i) => ({ edge, node: Math.floor(i / 2) }))
    .sort((a, b) => a.node - b.node || a.edge[1] - b.edge[1])
    .map(({ edge }) => edge);
}
