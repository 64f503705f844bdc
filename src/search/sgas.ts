// SGAS: Sequential Greedy Architecture Search (Li et al., CVPR 2020, arXiv:1912.00195). Every few epochs the edge of
// each cell type that matters most and is most certain (criterion 1), and most stable (criterion 2), is decided: it keeps
// its most probable operation with weight 1, and its alphas no longer move. When a node has two decided edges, its other
// edges are closed. What is decided or closed is not computed any more, so steps get faster, and batches may grow.
// Each edge has a tensor of alphas of its own: a decided one has no part in the loss, so that no optimizer moves it.
import { deriveGenotype, keepTwoEdges } from "../genotype/discretize.ts";
import { edgeOffset } from "../genotype/genotype.ts";
import { choiceRows, sgasDecide, sgasScores } from "../genotype/sgas-rule.ts";
import { softmaxRows } from "../genotype/softmax.ts";
import type { OptionsOf } from "../methods/declaration.ts";
import type { sgas } from "../methods/sgas.ts";
import { allCandidates, type Candidates, onCandidates } from "../space/candidates.ts";
import type { CellMixture } from "../space/supernet.ts";
import { aten } from "../tensor/aten.ts";
import { scope } from "../tensor/scope.ts";
import { Parameter, type Tensor, tensor } from "../tensor/tensor.ts";
import { drawLogits } from "./alphas.ts";
import { dartsStep } from "./darts.ts";
import type { MethodContext, SearchMethod } from "./method.ts";

const CELLS = ["normal", "reduce"] as const;
type Cell = (typeof CELLS)[number];

/** What is decided in one cell type. */
interface Decisions {
  /** The column of each decided edge by the edge's number, in the order of the decisions. */
  readonly decided: readonly (readonly [edge: number, column: number])[];
  /** Distributions over the operations but `none` of the last epochs, [epochs][edges][operations]. */
  readonly history: readonly (readonly (readonly number[])[])[];
}

/** The method of the SGAS paper. */
export function createSgas(context: MethodContext, options: OptionsOf<typeof sgas>): SearchMethod {
  const { nodes, primitives, batchSize } = context;
  const edges = edgeOffset(nodes);
  const start = context.candidates ?? allCandidates(edges, primitives.length);
  const alphas = { normal: drawEdges(edges, context), reduce: drawEdges(edges, context) };
  let state: Readonly<Record<Cell, Decisions>> = {
    normal: { decided: [], history: [] },
    reduce: { decided: [], history: [] },
  };

  const rows = (cell: Cell) =>
    onCandidates(
      alphas[cell].map((alpha) => alpha.toNumbers()),
      start[cell],
    );
  const open = (cell: Cell) => openCandidates(start[cell], state[cell].decided, nodes);
  const undecided = (cell: Cell) =>
    open(cell).flatMap((columns, edge) =>
      columns.length > 0 && !state[cell].decided.some(([other]) => other === edge) ? [edge] : [],
    );
  const decide = (cell: Cell) => {
    const scores = sgasScores(rows(cell), primitives, state[cell].history);
    const by = options.criterion === 1 ? scores.criterion1 : scores.criterion2;
    const decision = sgasDecide(by, undecided(cell), rows(cell), primitives);
    if (decision) fix(cell, decision.edge, primitives.indexOf(decision.op));
  };
  const fix = (cell: Cell, edge: number, column: number) => {
    const { decided, history } = state[cell];
    state = { ...state, [cell]: { history, decided: [...decided, [edge, column]] } };
  };

  const mix = (cell: Cell): CellMixture => {
    const active = open(cell);
    const fixed = new Map(state[cell].decided);
    const mixed = alphas[cell].map((alpha, edge) =>
      edgeWeights(
        alpha,
        start[cell][edge]!,
        fixed.has(edge) || active[edge]!.length === 0 ? active[edge]! : null,
      ),
    );
    return { operations: aten.cat.default(mixed, 0), active };
  };

  return {
    alphas: new Map(
      CELLS.flatMap((cell) => alphas[cell].map((alpha, edge) => [`alphas_${cell}.${edge}`, alpha] as const)),
    ),
    mixture: () => ({ normal: mix("normal"), reduce: mix("reduce") }),
    step: (step) => dartsStep(step, context),
    derive() {
      const strengths = (cell: Cell) => {
        const fixed = new Map(state[cell].decided);
        const closed = open(cell).map((columns) => columns.length === 0);
        return softmaxRows(rows(cell)).map((row, edge) =>
          row.map((p, k) => {
            if (closed[edge]) return CLOSED;
            return fixed.has(edge) ? (fixed.get(edge) === k ? DECIDED : CLOSED) : p;
          }),
        );
      };
      const [normal, reduce] = [strengths("normal"), strengths("reduce")];
      return deriveGenotype({ normal, reduce }, primitives, ({ alphas: cell }) =>
        keepTwoEdges(cell, primitives),
      );
    },
    alphaRows: () => ({ normal: rows("normal"), reduce: rows("reduce") }),
    strengths() {
      const strong = (cell: Cell) => ({ ...mix(cell), certain: state[cell].decided.map(([edge]) => edge) });
      return { normal: strong("normal"), reduce: strong("reduce") };
    },
    shape: () => ({
      batchSize: batchSize + options.batchGrowth * state.normal.decided.length,
      candidates: { normal: open("normal"), reduce: open("reduce") } satisfies Candidates,
    }),
    // As many edges as can be open in the largest batch: one of each node decided, none closed.
    rehearsals: [
      () => {},
      () => {
        for (const cell of CELLS)
          for (let node = 0; node < nodes; node++)
            fix(cell, edgeOffset(node), start[cell][edgeOffset(node)]!.at(-1)!);
      },
    ],
    figures: () => ({
      decidedNormal: state.normal.decided.length,
      decidedReduce: state.reduce.decided.length,
    }),
    endEpoch(epoch) {
      for (const cell of CELLS) if (decidesAfter(epoch, options)) decide(cell);
      const remember = (cell: Cell): Decisions => ({
        decided: state[cell].decided,
        history: [...state[cell].history, choiceRows(rows(cell), primitives)].slice(-options.history),
      });
      state = { normal: remember("normal"), reduce: remember("reduce") };
      return undefined;
    },
    state: () => state,
    restore(saved) {
      state = saved as typeof state;
    },
  };
}

/** Above every probability, and below: what the rule of two edges then has to keep and must not. */
const DECIDED = 2;
const CLOSED = -1;

/** Whether an edge of each cell is decided after an epoch, as long as there are undecided ones. */
export function decidesAfter(
  epoch: number,
  { decideFromEpoch, decideEvery }: Pick<OptionsOf<typeof sgas>, "decideFromEpoch" | "decideEvery">,
): boolean {
  return epoch >= decideFromEpoch && (epoch - decideFromEpoch) % decideEvery === 0;
}

/** What is left to compute on each edge: a decided edge's operation, and nothing where its node has two decided ones. */
function openCandidates(
  start: Candidates["normal"],
  decided: Decisions["decided"],
  nodes: number,
): readonly (readonly number[])[] {
  const fixed = new Map(decided);
  return Array.from({ length: nodes }, (_, node) => {
    const rows = start.slice(edgeOffset(node), edgeOffset(node + 1));
    const own = rows.map((_, i) => fixed.get(edgeOffset(node) + i));
    const full = own.filter((column) => column !== undefined).length >= 2;
    return rows.map((row, i) => (own[i] !== undefined ? [own[i]] : full ? [] : row));
  }).flat();
}

/** Weights of an edge's operations, [1, operations]: a softmax over its candidates, or 1 on what is `fixed`. */
function edgeWeights(alpha: Tensor, candidates: readonly number[], fixed: readonly number[] | null): Tensor {
  const { shape, dtype, device, numel } = alpha;
  const row = (value: (k: number) => number) =>
    tensor(
      Array.from({ length: numel }, (_, k) => value(k)),
      shape,
      { dtype, device },
    );
  if (fixed) return row((k) => (fixed.includes(k) ? 1 : 0));
  if (candidates.length === numel) return alpha.softmax(1);
  return alpha.add(row((k) => (candidates.includes(k) ? 0 : Number.NEGATIVE_INFINITY))).softmax(1);
}

/** A row of alphas for each edge, near zero. */
function drawEdges(edges: number, { primitives, device }: MethodContext): Parameter[] {
  return Array.from({ length: edges }, () =>
    scope(() => new Parameter(drawLogits([1, primitives.length], { device }))),
  );
}
