// The largest cells of a search space: what plans and rehearsals take for the cells that are not known yet.
import type { Candidates } from "../space/candidates.ts";
import { kindsOf, type SearchSpace } from "../space/declare-space.ts";
import { BY_MEMORY, type Primitive } from "../space/primitives.ts";
import { genotypeIn } from "./discretize.ts";
import {
  type CellEdges,
  cellOf,
  type Edge,
  edgeOffset,
  type Genotype,
  type Keeping,
  keptBy,
} from "./genotype.ts";

/** Cells of nothing but the operations of each edge that take the most memory: none that keep as many take more. */
export function largestCells({
  space,
  nodes,
  primitives,
  candidates,
  kept,
  shared,
}: Keeping & {
  readonly space: SearchSpace;
  readonly nodes: number;
  readonly primitives: readonly Primitive[];
  readonly candidates: Candidates;
}): Genotype {
  const { inputs } = space.skeleton;
  const largest = (cell: "normal" | "reduce"): CellEdges => {
    const byNode = Array.from({ length: nodes }, (_, node) => {
      const states = Array.from({ length: inputs + node }, (_, state) => state);
      const open = states.map((from) => {
        const columns = candidates[cell][edgeOffset(node, inputs) + from]!;
        return bySize(columns.map((k) => primitives[k]!));
      });
      if (kept === "every")
        return states.flatMap((from): Edge[] => open[from]!.slice(0, 1).map((op) => [op, from]));
      const pairs = bySize([...new Set(open.flat())]).flatMap((op) =>
        states.filter((from) => open[from]!.includes(op)).map((from): Edge => [op, from]),
      );
      return pairs.slice(0, keptBy({ kept, shared }, open));
    });
    return cellOf(byNode);
  };
  const reduce = kindsOf(space).includes("reduce") ? largest("reduce") : [];
  return genotypeIn(space, nodes, { normal: largest("normal"), reduce });
}

/** The operations that take memory, the largest first; a plugin's, of which nothing is known, before all others. */
function bySize(operations: readonly Primitive[]): Primitive[] {
  return operations.filter((op) => op !== "none").sort((a, b) => BY_MEMORY.indexOf(a) - BY_MEMORY.indexOf(b));
}
