// From alphas to a discrete cell: the rule of each method, on plain numbers.
// Everywhere `none` takes part in the softmax but is never kept (SNAS excepted), and ties go to the
// lower predecessor and then to the operation that stands first, as in the published code.
import { UserError } from "../errors.ts";
import { kindsOf, outputOf, type SearchSpace } from "../space/declare-space.ts";
import type { Primitive } from "../space/primitives.ts";
import { DARTS_SPACE, genotypeSpace } from "../space/spaces.ts";
import { type CellEdges, cellOf, type Edge, edgeOffset, type Genotype, type Inputs } from "./genotype.ts";
import { type Matrix, softmax, softmaxRows } from "./softmax.ts";

/** The architecture parameters of one cell: alphas [edges][operations] and, in PC-DARTS, betas [edges]. */
export interface CellLogits {
  readonly alphas: Matrix;
  readonly betas?: readonly number[] | undefined;
  /** Cells that the cell reads; absent: two. */
  readonly inputs?: Inputs;
}

/** Derives the kept edges of one cell. */
export type DiscretizationRule = (logits: CellLogits, primitives: readonly Primitive[]) => CellEdges;

/** The architecture parameters of both cells. */
export interface GenotypeLogits {
  readonly normal: Matrix;
  readonly reduce: Matrix;
  readonly normalBetas?: readonly number[];
  readonly reduceBetas?: readonly number[];
}

/** The rules by name; all but `snas`, which keeps every edge, keep two for each node. */
export const DISCRETIZATION_RULES = {
  darts: deriveDarts,
  "darts-by-node": deriveDartsByNode,
  "pc-darts": derivePcDarts,
  gdas: deriveGdas,
  "i-darts": deriveIDarts,
  snas: deriveSnas,
  "snas-two-edges": deriveSnasTwoEdges,
} as const satisfies Record<string, DiscretizationRule>;

/**
 * The genotype that a rule (by default that of DARTS, section 2.4) derives. A space that says itself what its cells keep
 * goes before the rule; it also says which nodes are put out (all, in DARTS).
 */
export function deriveGenotype(
  { normal, reduce, normalBetas, reduceBetas }: GenotypeLogits,
  primitives: readonly Primitive[],
  rule: DiscretizationRule = deriveDarts,
  space: SearchSpace = DARTS_SPACE,
): Genotype {
  const { inputs } = space.skeleton;
  const derive = space.keeps === "every-edge" ? deriveSnas : rule;
  return genotypeIn(space, countNodes(normal, inputs), {
    normal: derive({ alphas: normal, betas: normalBetas, inputs }, primitives),
    reduce: kindsOf(space).includes("reduce")
      ? derive({ alphas: reduce, betas: reduceBetas, inputs }, primitives)
      : [],
  });
}

/** The genotype of cells of so many nodes in a space, which says what they put out. */
export function genotypeIn(
  space: SearchSpace,
  nodes: number,
  { normal, reduce }: Pick<Genotype, "normal" | "reduce">,
): Genotype {
  const concat = outputOf(space.skeleton, nodes);
  const reduceConcat = kindsOf(space).includes("reduce") ? concat : [];
  return { ...genotypeSpace(space), normal, normalConcat: concat, reduce, reduceConcat };
}

/** DARTS: each node keeps the two edges whose best operation is most probable, the best first. */
export function deriveDarts({ alphas, inputs }: CellLogits, primitives: readonly Primitive[]): CellEdges {
  return keepTwoEdges(strengthsOf(checkAlphas(alphas, primitives, inputs)), primitives, inputs);
}

/** DARTS' rule on I-DARTS' probabilities: one softmax over all pairs of edge and operation of a node. */
export function deriveDartsByNode(
  { alphas, inputs }: CellLogits,
  primitives: readonly Primitive[],
): CellEdges {
  checkAlphas(alphas, primitives, inputs);
  const probabilities = nodesOf(alphas, inputs).flatMap(({ first, last }) => {
    const joint = softmax(alphas.slice(first, last).flat());
    return Array.from({ length: last - first }, (_, i) =>
      joint.slice(i * primitives.length, (i + 1) * primitives.length),
    );
  });
  return keepTwoEdges(onlyThere(probabilities, alphas), primitives, inputs);
}

/** PC-DARTS: as DARTS, with probabilities times the softmax of the betas over the edges of the node. */
export function derivePcDarts(
  { alphas, betas, inputs }: CellLogits,
  primitives: readonly Primitive[],
): CellEdges {
  checkAlphas(alphas, primitives, inputs);
  if (betas?.length !== alphas.length) {
    throw new RangeError(
      `betas: got ${betas?.length ?? "none"}, expected one for each of ${alphas.length} edges`,
    );
  }
  const own = betas.map((beta, edge) => (alphas[edge]!.some(isThere) ? beta : ABSENT));
  const edgeWeights = nodesOf(alphas, inputs).flatMap(({ first, last }) => softmax(own.slice(first, last)));
  const strengths = softmaxRows(alphas).map((row, edge) => row.map((p) => p * edgeWeights[edge]!));
  return keepTwoEdges(onlyThere(strengths, alphas), primitives, inputs);
}

/** GDAS: each node keeps its two most probable pairs of edge and operation, which may share an edge. */
export function deriveGdas({ alphas, inputs }: CellLogits, primitives: readonly Primitive[]): CellEdges {
  return keepPairs(strengthsOf(checkAlphas(alphas, primitives, inputs)), primitives, { pairs: 2, inputs });
}

/**
 * I-DARTS: of the one softmax over all pairs of edge and operation of a node, the `pairs` most probable without `none`
 * are kept (all, where there are fewer). A pair's probability grows with its alpha, so the alphas themselves rank them.
 */
export function deriveIDarts(
  { alphas, inputs }: CellLogits,
  primitives: readonly Primitive[],
  pairs = 2,
): CellEdges {
  return keepPairs(checkAlphas(alphas, primitives, inputs), primitives, { pairs, inputs });
}

/** SNAS: every edge keeps its most probable operation, which may be `none`; edges in supernet order. */
export function deriveSnas({ alphas, inputs }: CellLogits, primitives: readonly Primitive[]): CellEdges {
  checkAlphas(alphas, primitives, inputs);
  return cellOf(
    nodesOf(alphas, inputs).map(({ first, last }) =>
      alphas.slice(first, last).flatMap((row, from): Edge[] => {
        const largest = Math.max(...row);
        return isThere(largest) ? [[primitives[row.indexOf(largest)]!, from]] : [];
      }),
    ),
  );
}

/** SNAS with two edges for each node: those whose most probable operation, `none` included, is most probable. */
export function deriveSnasTwoEdges(
  { alphas, inputs }: CellLogits,
  primitives: readonly Primitive[],
): CellEdges {
  checkAlphas(alphas, primitives, inputs);
  return cellOf(
    nodesOf(alphas, inputs).map(({ first, last }) =>
      alphas
        .slice(first, last)
        .map((row, from) => ({ row, from }))
        .filter(({ row }) => row.some(isThere))
        .map(({ row, from }) => ({ row: softmax(row), from }))
        .map(({ row, from }) => ({ row, from, strength: Math.max(...row) }))
        .sort((a, b) => b.strength - a.strength)
        .slice(0, 2)
        .map(({ row, from, strength }): Edge => [primitives[row.indexOf(strength)]!, from]),
    ),
  );
}

/**
 * The recurrent rule of DARTS: each node keeps one edge, that of the most probable activation, `none` aside.
 * Node i owns the rows from i(i+1)/2 on, one for the cell's input state (0) and one for each earlier node.
 */
export function deriveRecurrent<Activation extends string>(
  alphas: Matrix,
  activations: readonly Activation[],
): (readonly [activation: Activation, predecessor: number])[] {
  const nodes = (Math.sqrt(1 + 8 * alphas.length) - 1) / 2;
  if (!Number.isInteger(nodes) || nodes < 1) {
    throw new RangeError(
      `alphas: got ${alphas.length} rows, expected those of a recurrent cell: 1, 3, 6, …, 36`,
    );
  }
  checkRows(alphas, activations);
  const kept: (readonly [Activation, number])[] = [];
  for (let node = 0, first = 0; first < alphas.length; node++, first += node) {
    const rows = softmaxRows(alphas.slice(first, first + node + 1));
    kept.push(rankEdges(rows, activations)[0]!.edge);
  }
  return kept;
}

/**
 * Two edges for each node by the largest strength among their operations other than `none`; fewer where a node has not
 * as many with such an operation.
 */
export function keepTwoEdges(
  strengths: Matrix,
  primitives: readonly Primitive[],
  inputs?: Inputs,
): CellEdges {
  return cellOf(
    nodesOf(strengths, inputs).map(({ first, last }) =>
      rankEdges(strengths.slice(first, last), primitives)
        .filter(({ strength }) => isThere(strength))
        .slice(0, 2)
        .map(({ edge }) => edge),
    ),
  );
}

/** The number of nodes of a fully connected cell with an edge for each row; 14 rows are 4 nodes. */
export function countNodes(rows: Matrix, inputs: Inputs = 2): number {
  const odd = 2 * inputs - 1;
  const nodes = (Math.sqrt(odd ** 2 + 8 * rows.length) - odd) / 2;
  if (!Number.isInteger(nodes) || nodes < 1) {
    const expected = [1, 2, 3, 4, 5].map((count) => edgeOffset(count, inputs)).join(", ");
    throw new RangeError(`alphas: got ${rows.length} rows, expected those of a cell: ${expected}, …`);
  }
  return nodes;
}

/** Throws for alphas of another shape, and for those of a search that diverged; returns them otherwise. */
export function checkAlphas(alphas: Matrix, primitives: readonly Primitive[], inputs?: Inputs): Matrix {
  countNodes(alphas, inputs);
  checkRows(alphas, primitives);
  return alphas;
}

function checkRows(alphas: Matrix, ops: readonly string[]): void {
  const wrong = alphas.find((row) => row.length !== ops.length);
  if (wrong) throw new RangeError(`alphas: got a row of ${wrong.length}, expected ${ops.length} operations`);
  if (ops.every((op) => op === "none")) {
    throw new UserError("primitives: got nothing but none, expected at least one operation that can be kept");
  }
  if (alphas.some((row) => row.some(Number.isNaN))) {
    throw new UserError("alphas: got NaN, so the search diverged; lower its learning rates and search again");
  }
}

/** The rows of each node. */
function nodesOf(rows: Matrix, inputs?: Inputs): { first: number; last: number }[] {
  return Array.from({ length: countNodes(rows, inputs) }, (_, node) => ({
    first: edgeOffset(node, inputs),
    last: edgeOffset(node + 1, inputs),
  }));
}

/** The logit, and the strength, of a candidate that its edge does not have. */
const ABSENT = Number.NEGATIVE_INFINITY;

/** Whether a logit is of a candidate that its edge has. */
function isThere(logit: number): boolean {
  return logit > ABSENT;
}

/** The probabilities of each edge's candidates. */
function strengthsOf(alphas: Matrix): number[][] {
  return onlyThere(softmaxRows(alphas), alphas);
}

/** The strengths, but of candidates that are not there the one that no rule keeps. */
function onlyThere(strengths: Matrix, alphas: Matrix): number[][] {
  return strengths.map((row, edge) => row.map((p, k) => (isThere(alphas[edge]![k]!) ? p : ABSENT)));
}

/** The edges of one node with their best operation other than `none`, the strongest first. */
function rankEdges<Op extends string>(rows: Matrix, ops: readonly Op[]) {
  return rows
    .map((row, from) => {
      const best = rankOps(row, ops)[0]!;
      return { edge: [best.op, from] as const, strength: best.strength };
    })
    .sort((a, b) => b.strength - a.strength); // a stable sort: ties stay in order
}

/** The operations of one edge other than `none`, the strongest first. */
function rankOps<Op extends string>(row: readonly number[], ops: readonly Op[]) {
  return ops
    .map((op, k) => ({ op, strength: row[k]! }))
    .filter(({ op }) => op !== "none")
    .sort((a, b) => b.strength - a.strength);
}

/** The strongest pairs of edge and operation of each node. */
function keepPairs(
  strengths: Matrix,
  primitives: readonly Primitive[],
  { pairs, inputs }: { readonly pairs: number; readonly inputs: Inputs | undefined },
): CellEdges {
  const byNode = nodesOf(strengths, inputs).map(({ first, last }) =>
    strengths
      .slice(first, last)
      .flatMap((row, from) => primitives.map((op, k) => ({ edge: [op, from] as const, strength: row[k]! })))
      .filter(({ edge: [op], strength }) => op !== "none" && isThere(strength))
      .sort((a, b) => b.strength - a.strength)
      .slice(0, pairs)
      .map(({ edge }) => edge),
  );
  return cellOf(byNode);
}
