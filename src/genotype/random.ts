// Random cells of the search space: the baseline that a search has to beat (DARTS, section 3.2).
import { UserError } from "../errors.ts";
import type { Generator } from "../random/generator.ts";
import type { Candidates } from "../space/candidates.ts";
import { kindsOf, type SearchSpace } from "../space/declare-space.ts";
import type { Primitive } from "../space/primitives.ts";
import { DARTS_SPACE } from "../space/spaces.ts";
import { genotypeIn } from "./discretize.ts";
import {
  type CellEdges,
  cellOf,
  type Edge,
  edgeOffset,
  type Genotype,
  type Inputs,
  type Keeping,
  type KeptEdges,
  keptBy,
} from "./genotype.ts";

/**
 * Draws a genotype, all uniformly: for each node of each cell so many different predecessors as `kept` says (two), and
 * for each edge one of the primitives (or of its candidates, where it has its own) but `none`. A node that would keep
 * more edges than it has predecessors keeps one of each or, where edges are `shared`, takes them again, with other
 * operations. In a space that keeps every edge each has
 * one of all its candidates, `none` among them. Throws a UserError when `none` is all there is.
 */
export function randomGenotype(
  generator: Generator,
  {
    nodes,
    primitives,
    kept = 2,
    shared,
    candidates,
    space = DARTS_SPACE,
  }: {
    nodes: number;
    primitives: readonly Primitive[];
    kept?: KeptEdges;
    shared?: boolean | undefined;
    candidates?: Candidates | undefined;
    space?: SearchSpace;
  },
): Genotype {
  if (primitives.every((op) => op === "none")) {
    throw new UserError("primitives: got nothing but none, expected at least one operation to draw");
  }
  const every = space.keeps === "every-edge";
  const ops = primitives.filter((op) => every || op !== "none");
  const draw = (cell: keyof Candidates) =>
    randomCell(generator, {
      nodes,
      inputs: space.skeleton.inputs,
      keeping: { kept: every ? "every" : kept, shared },
      opsOf: (edge) =>
        candidates ? ops.filter((op) => candidates[cell][edge]!.includes(primitives.indexOf(op))) : ops,
    });
  const normal = draw("normal");
  const reduce = kindsOf(space).includes("reduce") ? draw("reduce") : [];
  return genotypeIn(space, nodes, { normal, reduce });
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
  {
    nodes,
    inputs,
    keeping,
    opsOf,
  }: { nodes: number; inputs: Inputs; keeping: Keeping; opsOf: (edge: number) => readonly Primitive[] },
): CellEdges {
  const byNode = Array.from({ length: nodes }, (_, node) => {
    const open = Array.from({ length: inputs + node }, (_, from) => opsOf(edgeOffset(node, inputs) + from));
    const edges: Edge[] = [];
    for (const from of drawPredecessors(generator, open, keptBy(keeping, open))) {
      const free = open[from]!.filter(
        (op) => !edges.some(([other, source]) => other === op && source === from),
      );
      edges.push([free[generator.int(0, free.length - 1)]!, from]);
    }
    return edges;
  });
  return cellOf(byNode);
}

/**
 * `count` predecessors of a node in ascending order, by the operations that the edge from each has: none comes more
 * often than it has operations, nor again before all others that could have come as often.
 */
function drawPredecessors(
  generator: Generator,
  open: readonly (readonly Primitive[])[],
  count: number,
): number[] {
  const taken = open.map(() => 0);
  let left: number[] = [];
  const drawn = Array.from({ length: count }, () => {
    if (left.length === 0) left = [...open.keys()].filter((from) => taken[from]! < open[from]!.length);
    const from = left.splice(generator.int(0, left.length - 1), 1)[0]!;
    taken[from] = taken[from]! + 1;
    return from;
  });
  return drawn.sort((a, b) => a - b);
}
