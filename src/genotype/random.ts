// Random cells of the search space: the baseline that a search has to beat (DARTS, section 3.2).
import { UserError } from "../errors.ts";
import type { Generator } from "../random/generator.ts";
import type { Primitive } from "../space/primitives.ts";
import {
  allNodes,
  type CellEdges,
  cellOf,
  type Edge,
  type Genotype,
  type KeptEdges,
  keptBy,
} from "./genotype.ts";

/**
 * Draws a genotype, all uniformly: for each node of each cell so many different predecessors as `kept` says (two), and
 * for each edge one of the primitives but `none`. A node that keeps more edges than it has predecessors takes them all
 * again, with other operations. Throws a UserError when `none` is all there is.
 */
export function randomGenotype(
  generator: Generator,
  { nodes, primitives, kept = 2 }: { nodes: number; primitives: readonly Primitive[]; kept?: KeptEdges },
): Genotype {
  const ops = primitives.filter((op) => op !== "none");
  if (ops.length === 0) {
    throw new UserError("primitives: got nothing but none, expected at least one operation to draw");
  }
  const normal = randomCell(generator, { nodes, ops, kept });
  const reduce = randomCell(generator, { nodes, ops, kept });
  return { normal, normalConcat: allNodes(nodes), reduce, reduceConcat: allNodes(nodes) };
}

/**
 * The number of different cells of two edges for each node: for each node a pair of predecessors and two operations.
 * 1,037,664,180 for the four nodes and seven operations of DARTS, squared for both cells.
 */
export function countCells(nodes: number, ops: number): bigint {
  let cells = 1n;
  for (let node = 0; node < nodes; node++) cells *= BigInt(((node + 2) * (node + 1)) / 2) * BigInt(ops) ** 2n;
  return cells;
}

function randomCell(
  generator: Generator,
  { nodes, ops, kept }: { nodes: number; ops: readonly Primitive[]; kept: KeptEdges },
): CellEdges {
  const byNode = Array.from({ length: nodes }, (_, node) => {
    const edges: Edge[] = [];
    for (const from of drawPredecessors(generator, node, keptBy(node, kept, ops.length))) {
      const free = ops.filter((op) => !edges.some(([other, source]) => other === op && source === from));
      edges.push([free[generator.int(0, free.length - 1)]!, from]);
    }
    return edges;
  });
  return cellOf(byNode);
}

/** `count` predecessors of a node in ascending order; none comes again before all others have come as often. */
function drawPredecessors(generator: Generator, node: number, count: number): number[] {
  let left: number[] = [];
  const drawn = Array.from({ length: count }, () => {
    if (left.length === 0) left = [0, 1, ...allNodes(node)];
    return left.splice(generator.int(0, left.length - 1), 1)[0]!;
  });
  return drawn.sort((a, b) => a - b);
}
