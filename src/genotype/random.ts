// Random cells of the search space: the baseline that a search has to beat (DARTS, section 3.2).
import { UserError } from "../errors.ts";
import type { Generator } from "../random/generator.ts";
import type { Candidates } from "../space/candidates.ts";
import type { Primitive } from "../space/primitives.ts";
import { allNodes, type Edge, edgeOffset, type Genotype } from "./genotype.ts";

/**
 * Draws a genotype: for each node of each cell two different predecessors, and for each edge one of the
 * primitives (or of its candidates, where it has its own) but `none`, all uniformly. Throws a UserError when `none` is all there is.
 */
export function randomGenotype(
  generator: Generator,
  {
    nodes,
    primitives,
    candidates,
  }: { nodes: number; primitives: readonly Primitive[]; candidates?: Candidates | undefined },
): Genotype {
  const ops = primitives.filter((op) => op !== "none");
  if (ops.length === 0) {
    throw new UserError("primitives: got nothing but none, expected at least one operation to draw");
  }
  const opsOf = (cell: keyof Candidates) => (edge: number) =>
    candidates ? ops.filter((op) => candidates[cell][edge]!.includes(primitives.indexOf(op))) : ops;
  const normal = randomCell(generator, nodes, opsOf("normal"));
  const reduce = randomCell(generator, nodes, opsOf("reduce"));
  return { normal, normalConcat: allNodes(nodes), reduce, reduceConcat: allNodes(nodes) };
}

/**
 * The number of different cells: for each node a pair of predecessors and two operations.
 * 1,037,664,180 for the four nodes and seven operations of DARTS, squared for both cells.
 */
export function countCells(nodes: number, ops: number): bigint {
  let cells = 1n;
  for (let node = 0; node < nodes; node++) cells *= BigInt(((node + 2) * (node + 1)) / 2) * BigInt(ops) ** 2n;
  return cells;
}

function randomCell(
  generator: Generator,
  nodes: number,
  opsOf: (edge: number) => readonly Primitive[],
): Edge[] {
  const edges: Edge[] = [];
  for (let node = 0; node < nodes; node++) {
    const first = generator.int(0, node + 1);
    // One of the others: those from `first` on move down by one.
    const drawn = generator.int(0, node);
    const second = drawn < first ? drawn : drawn + 1;
    for (const from of [first, second].sort((a, b) => a - b)) {
      const ops = opsOf(edgeOffset(node) + from);
      edges.push([ops[generator.int(0, ops.length - 1)]!, from]);
    }
  }
  return edges;
}
