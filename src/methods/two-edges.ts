// The spaces that a method can search which was made for the cells of DARTS.
import { edgesOf } from "../genotype/genotype.ts";
import { kindsOf, type SearchSpace } from "../space/declare-space.ts";

/** Why a method that keeps two of the edges into each node, in cells of both kinds, does not search a space. */
export function refuseOtherCells(space: SearchSpace): string | undefined {
  const { keeps, skeleton, nodes, edges } = space;
  if (keeps === "every-edge")
    return "it decides which two edges each node keeps, and there every edge is kept";
  if (skeleton.inputs !== 2 || skeleton.reduction !== "cell")
    return "it was made for cells that read two cells, and for a reduction cell that is searched too";
  const lacks = kindsOf(space).some((cell) =>
    edgesOf(edges ? nodes! : 0).some(
      ({ source, target }) => edges!({ cell, node: target - 2, source }).length === 0,
    ),
  );
  return lacks ? "it was made for cells in which each node can read every state before it" : undefined;
}
