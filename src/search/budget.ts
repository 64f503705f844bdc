// A budget on what a search derives: multiply-adds or parameters of the network that is trained afterwards, of
// train.channels and train.cells, as a penalty on the expected figure E under the method's probabilities:
//   strength · max(0, E / limit − 1), for each limit that is set, in every pass that moves the alphas.
// The penalty is zero within the budget, so that there accuracy alone decides; above it its slope is constant and does
// not fade near the limit, as that of a square would, so that a finite strength can hold a search to it. Both terms of
// E / limit are in the same unit: the strength means the same for multiply-adds and parameters, small nets and large.
// E is the expectation over networks whose nodes keep as many pairs of edge and operation as the method derives, each
// with a probability in proportion to the strength that the method's derivation ranks it by: probabilities, times edge
// weights where it has them. Once one cell has all the strength, E is its cost to the last digit. The cell that is
// derived is held against the budget as well: what the alphas leave open, the expectation cannot promise.
import type { Config } from "../config/schema.ts";
import type { ImageDataset } from "../data/dataset.ts";
import { UserError } from "../errors.ts";
import type { Cost } from "../genotype/counts.ts";
import { allNodes, cellOf, type Edge, edgeOffset, type Genotype, keptBy } from "../genotype/genotype.ts";
import type { DerivedCells } from "../methods/declaration.ts";
import { derivedCells } from "../methods/table.ts";
import { allCandidates, type Candidates } from "../space/candidates.ts";
import { spaceCandidates } from "../space/spaces.ts";
import { aten } from "../tensor/aten.ts";
import { noGrad } from "../tensor/autograd.ts";
import { scope } from "../tensor/scope.ts";
import { cat, type Tensor, tensor } from "../tensor/tensor.ts";
import { costOf } from "./costs.ts";
import type { CellStrengths, SearchMethod, Strengths } from "./method.ts";

/** What a budget limits. */
export type BudgetKind = "multiplyAdds" | "parameters";

type Images = Pick<ImageDataset, "classes" | "train">;
type CellKind = "normal" | "reduce";

/** The figures of a network by the pairs that its cells keep. */
export interface CostTable {
  /** What every network has: stem, preprocessing, classifier, and a reduction cell that is not searched. */
  readonly base: number;
  /** What a pair adds, all cells of its type together, [edges][primitives]. */
  readonly pairs: Readonly<Record<CellKind, readonly (readonly number[])[]>>;
}

/** How a derived network stands to a limit. */
export interface BudgetCheck {
  readonly kind: BudgetKind;
  readonly limit: number;
  readonly derived: number;
}

const FIELDS = { multiplyAdds: "macs", parameters: "params" } as const satisfies Record<
  BudgetKind,
  keyof Cost
>;
const WORDS = { multiplyAdds: "multiply-adds", parameters: "parameters" } as const;

/** The limits that a configuration sets. */
export function limitsOf({ budget }: Pick<Config, "budget">): readonly (readonly [BudgetKind, number])[] {
  const { multiplyAdds, parameters } = budget;
  const limits = Object.entries({ multiplyAdds, parameters }) as [BudgetKind, number | null][];
  return limits.flatMap(([kind, limit]) => (limit === null ? [] : [[kind, limit] as const]));
}

/** The table of the networks that a configuration's searches derive. */
export function costTable(config: Config, dataset: Images, kind: BudgetKind): CostTable {
  const { nodes, primitives } = config.space;
  const { fixed } = derivedCells(config.search);
  const count = (genotype: Genotype) => costOf({ ...genotype, ...fixed }, { config, dataset })[FIELDS[kind]];
  const base = count(withPair(nodes));
  const pairs = (cell: CellKind) =>
    Array.from({ length: edgeOffset(nodes) }, (_, edge) =>
      primitives.map((op) => count(withPair(nodes, { cell, edge, op })) - base),
    );
  return { base, pairs: { normal: pairs("normal"), reduce: pairs("reduce") } };
}

/** Throws a {@link UserError} for a limit that no cell of the space keeps. */
export function checkBudget(config: Config, dataset: Images): void {
  for (const [kind, limit] of limitsOf(config)) {
    const least = leastCost(config, dataset, kind);
    if (limit >= least) continue;
    const { channels, cells } = config.train;
    throw new UserError(
      `budget.${kind} is ${limit}, but the cheapest cells make a network of ${least} ${WORDS[kind]} (train.channels ` +
        `${channels}, train.cells ${cells}). Set it to at least ${least}, or make the network smaller.`,
    );
  }
}

/** The figure of the cheapest network that can be derived. */
export function leastCost(config: Config, dataset: Images, kind: BudgetKind): number {
  const { nodes, primitives, name } = config.space;
  const { kept, fixed, shared, none } = derivedCells(config.search);
  const { base, pairs } = costTable(config, dataset, kind);
  const open = openPairs(primitives, spaceCandidates(name, primitives), { nodes, none });
  const least = (cell: CellKind) =>
    eachNode(nodes).reduce((sum, edges) => {
      const costs = edges.map((edge) =>
        open[cell][edge]!.map((k) => pairs[cell][edge]![k]!).sort((a, b) => a - b),
      );
      const choices = shared ? costs.flat() : costs.map(([cheapest]) => cheapest!);
      const cheapest = choices.sort((a, b) => a - b).slice(0, keptBy(kept, costs));
      return sum + cheapest.reduce((a, b) => a + b, 0);
    }, 0);
  return base + least("normal") + (fixed ? 0 : least("reduce"));
}

/** A derived network's figures beside the limits; empty without a budget. */
export function checkDerived(config: Pick<Config, "budget">, cost: Cost): readonly BudgetCheck[] {
  return limitsOf(config).map(([kind, limit]) => ({ kind, limit, derived: cost[FIELDS[kind]] }));
}

/** `11,410,000 multiply-adds of at most 10,000,000: 14.1 % too many`. */
export function budgetText({ kind, limit, derived }: BudgetCheck): string {
  const number = (value: number) => value.toLocaleString("en-US");
  const excess = 100 * (derived / limit - 1);
  const verdict = derived > limit ? `${excess.toFixed(1)} % too many` : "within the budget";
  return `${number(derived)} ${WORDS[kind]} of at most ${number(limit)}: ${verdict}`;
}

/**
 * The method with the configuration's budget: the penalty is added to its own, the expected figures to its figures.
 * Throws a {@link UserError} for a method that has no probabilities of what it derives.
 */
export function withBudget(method: SearchMethod, config: Config, dataset: Images): SearchMethod {
  const limits = limitsOf(config);
  if (limits.length === 0) return method;
  const strengths = method.strengths?.bind(method);
  if (!strengths) {
    const [kind, limit] = limits[0]!;
    throw new UserError(
      `budget.${kind} is ${limit}, but ${config.search.method} has no probabilities of what it derives, so that no ` +
        `cost can be expected. Set budget.${kind} to null, or take another search.method.`,
    );
  }
  const { strength } = config.budget;
  const expected = limits.map(([kind, limit]) => ({
    figure: kind === "multiplyAdds" ? "expectedMultiplyAdds" : "expectedParameters",
    limit,
    of: expectation(config, costTable(config, dataset, kind)),
  }));
  const [mixture, figures] = [method.mixture.bind(method), method.figures?.bind(method)];
  return Object.assign(method, {
    mixture(...[purpose, epoch]: Parameters<SearchMethod["mixture"]>) {
      const mixed = mixture(purpose, epoch);
      if (strength === 0 || (purpose !== "architecture" && purpose !== "both")) return mixed;
      const penalty = scope(() => {
        const now = strengths();
        const excess = expected.map(({ of, limit }) => aten.relu.default(of(now).div(limit).add(-1)));
        return excess.reduce((a, b) => a.add(b)).mul(strength);
      });
      return { ...mixed, penalty: mixed.penalty ? mixed.penalty.add(penalty) : penalty };
    },
    figures(epoch: number) {
      const own = noGrad(() =>
        scope(() => expected.map(({ of, figure }) => [figure, of(strengths()).item()])),
      );
      return { ...figures?.(epoch), ...Object.fromEntries(own) };
    },
  });
}

/** The expectation of a table's figure under strengths, as a scalar with a graph. */
export function expectation(
  { space, search }: Pick<Config, "space" | "search">,
  { base, pairs }: CostTable,
): (strengths: Strengths) => Tensor {
  const { nodes, primitives, name } = space;
  const derived = derivedCells(search);
  const open = openPairs(primitives, spaceCandidates(name, primitives), { nodes, none: derived.none });
  const cellCost = (strengths: CellStrengths, cell: CellKind) => {
    const keeps = expectedKeeps(strengths, open[cell], derived.kept);
    return expectedOn(keeps, pairs[cell]).sum();
  };
  return ({ normal, reduce }) =>
    scope(() => {
      const cost = cellCost(normal, "normal").add(base);
      return reduce ? cost.add(cellCost(reduce, "reduce")) : cost;
    });
}

/**
 * How often each pair is kept in the mean, [edges, primitives]: a node's kept pairs are shared out in proportion to the
 * strengths of the pairs that can be kept, `open`; the edges that are decided keep their own whatever the others do.
 */
function expectedKeeps(
  { operations, certain = [] }: CellStrengths,
  open: Candidates["normal"],
  kept: DerivedCells["kept"],
): Tensor {
  const { shape, dtype, device } = operations;
  const [edges, columns] = shape as [number, number];
  const mask = open.flatMap((own) => Array.from({ length: columns }, (_, k) => (own.includes(k) ? 1 : 0)));
  const possible = operations.mul(tensor(mask, shape, { dtype, device }));
  const shares: Tensor[] = [];
  const share = (first: number, last: number, count: number) => {
    const own = aten.slice.Tensor(possible, 0, first, last);
    const decided = certain.filter((edge) => edge >= first && edge < last);
    const free = tensor(
      Array.from({ length: last - first }, (_, i) => (decided.includes(first + i) ? 0 : 1)),
      [last - first, 1],
      { dtype, device },
    );
    const others = own.mul(free);
    const left = count - decided.length;
    const fixed = own.sub(others);
    shares.push(left > 0 ? fixed.add(others.mul(left).div(others.sum())) : fixed);
  };
  if (kept === "every") for (let edge = 0; edge < edges; edge++) share(edge, edge + 1, 1);
  else
    for (let node = 0; edgeOffset(node) < edges; node++) {
      const [first, last] = [edgeOffset(node), edgeOffset(node + 1)];
      share(first, last, keptBy(kept, open.slice(first, last)));
    }
  return cat(shares, 0);
}

/** The expected figure of each edge, [edges]: Σₖ weights[edge, k] · figures[edge][k]. */
export function expectedOn(weights: Tensor, figures: readonly (readonly number[])[]): Tensor {
  const { shape, dtype, device } = weights;
  return aten.sum.dim_IntList(weights.mul(tensor(figures.flat(), shape, { dtype, device })), [1]);
}

/** The columns of each edge that a derivation can keep. */
function openPairs(
  primitives: readonly string[],
  candidates: Candidates | undefined,
  { nodes, none = false }: { readonly nodes: number; readonly none?: boolean | undefined },
): Candidates {
  const all = candidates ?? allCandidates(edgeOffset(nodes), primitives.length);
  const keepable = (rows: Candidates["normal"]) =>
    rows.map((row) => row.filter((k) => none || primitives[k] !== "none"));
  return { normal: keepable(all.normal), reduce: keepable(all.reduce) };
}

/** A genotype with an edge from every state to every later node, all of them `none` but the pair. */
function withPair(
  nodes: number,
  pair?: { readonly cell: CellKind; readonly edge: number; readonly op: Edge[0] },
): Genotype {
  const cell = (kind: CellKind) =>
    cellOf(
      eachNode(nodes).map((edges) =>
        edges.map((edge, from): Edge => [pair?.cell === kind && pair.edge === edge ? pair.op : "none", from]),
      ),
    );
  const concat = allNodes(nodes);
  return { normal: cell("normal"), normalConcat: concat, reduce: cell("reduce"), reduceConcat: concat };
}

/** The edges into each node. */
function eachNode(nodes: number): number[][] {
  return Array.from({ length: nodes }, (_, node) =>
    Array.from({ length: node + 2 }, (_, from) => edgeOffset(node) + from),
  );
}
