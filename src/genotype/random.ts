// Random cells of the search space: the baseline that a search has to beat (DARTS, section 3.2).
import { UserError } from "../errors.ts";
import type { Generator } from "../random/generator.ts";
import type { Primitive } from "../space/primitives.ts";
import { allNodes, type Edge, type Genotype } from "./genotype.ts";

/**
 * Draws a genotype: for each node of each cell two different predecessors, and for each edge one of the
 * primitives but `none`, all uniformly. Throws a UserError when `none` is all there is.
 */
export function randomGenotype(
  generator: Generator,
  { nodes, primitives }: { nodes: number; primitives: readonly Primitive[] },
): Genotype {
  const ops = primitives.filter((op) => op !== "none");
  if (ops.length === 0) {
    throw new UserError("primitives: got nothing but none, expected at least one operation to draw");
  }
  const normal = randomCell(generator, nodes, ops);
  const reduce = randomCell(generator, nodes, ops);
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

function randomCell(generator: Generator, nodes: number, ops: readonly Primitive[]): Edge[] {
  const edges: Edge[] = [];
  for (let node = 0; node < nodes; node++) {
    const first = generator.int(0, node + 1);
    // One of the others: those from `first` on move down by one.
    const drawn = generator.int(0, node);
    const second = drawn < first ? drawn : drawn + 1;
    for (const from of [first, second].sort((a, b) => a - b)) {
      edges.push([ops[generator.int(0, ops.length - 1)]!, from]);
    }
  }
  return edges;
}
