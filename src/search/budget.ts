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
import { BUDGET_STRENGTH, type Config } from "../config/schema.ts";
import type { ImageDataset } from "../data/dataset.ts";
import { UserError } from "../errors.ts";
import type { Cost } from "../genotype/counts.ts";
import { genotypeIn } from "../genotype/discretize.ts";
import {
  cellOf,
  type Edge,
  edgeOffset,
  edgesOf,
  type Genotype,
  type Inputs,
  keptBy,
} from "../genotype/genotype.ts";
import { derivedCells } from "../methods/table.ts";
import type { Candidates } from "../space/candidates.ts";
import { type CellKind, kindsOf, type SearchSpace } from "../space/declare-space.ts";
import { findSpace, openCandidates } from "../space/spaces.ts";
import { aten } from "../tensor/aten.ts";
import { noGrad } from "../tensor/autograd.ts";
import { scope } from "../tensor/scope.ts";
import { cat, type Tensor, tensor } from "../tensor/tensor.ts";
import { costOf } from "./costs.ts";
import type { CellStrengths, SearchMethod, Strengths } from "./method.ts";

/** What a budget limits. */
export type BudgetKind = "multiplyAdds" | "parameters";

type Images = Pick<ImageDataset, "classes" | "train">;

/** The figures of a network by the pairs that its cells keep. */
export interface CostTable {
  /** What every network has: stem, preprocessing, blocks, classifier, and a reduction cell that is not searched. */
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
  const { nodes, primitives, name } = config.space;
  const space = findSpace(name);
  const { fixed } = derivedCells(config);
  const count = (pair?: Pair) =>
    costOf({ ...withPair(space, nodes, pair), ...fixed }, { config, dataset })[FIELDS[kind]];
  const base = count();
  const pairs = (cell: CellKind) =>
    kindsOf(space).includes(cell)
      ? edgesOf(nodes, space.skeleton.inputs).map(({ edge }) =>
          primitives.map((op) => count({ cell, edge, op }) - base),
        )
      : [];
  return { base, pairs: { normal: pairs("normal"), reduce: pairs("reduce") } };
}

/** Throws a {@link UserError} for a limit that no cell of the space keeps, and for a strength without a limit. */
export function checkBudget(config: Config, dataset: Images): void {
  const { strength } = config.budget;
  if (limitsOf(config).length === 0 && strength !== BUDGET_STRENGTH) {
    throw new UserError(
      `budget.strength is ${strength}, but there is no limit that it could weigh. Set budget.multiplyAdds or ` +
        "budget.parameters, or leave the strength out.",
    );
  }
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
  const { kept, fixed, shared } = derivedCells(config);
  const { base, pairs } = costTable(config, dataset, kind);
  const open = keepable(config);
  const space = findSpace(config.space.name);
  const least = (cell: CellKind) =>
    eachNode(config.space.nodes, space.skeleton.inputs).reduce((sum, edges) => {
      const costs = edges.map((edge) =>
        open[cell][edge]!.map((k) => pairs[cell][edge]![k]!).sort((a, b) => a - b),
      );
      const choices = costs.flatMap((own) => (shared ? own : own.slice(0, 1)));
      const cheapest = choices.sort((a, b) => a - b).slice(0, keptBy({ kept, shared }, costs));
      return sum + cheapest.reduce((a, b) => a + b, 0);
    }, 0);
  const searched = kindsOf(space).filter((cell) => cell === "normal" || !fixed);
  return searched.reduce((sum, cell) => sum + least(cell), base);
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
  config: Pick<Config, "space" | "search">,
  { base, pairs }: CostTable,
): (strengths: Strengths) => Tensor {
  const derived = derivedCells(config);
  const { inputs } = findSpace(config.space.name).skeleton;
  const nodes = eachNode(config.space.nodes, inputs);
  // What shares a number of kept pairs: the edges of a node, or each edge alone.
  const groups = derived.kept === "every" ? nodes.flat().map((edge) => [edge]) : nodes;
  const open = keepable(config);
  const cellCost = (strengths: CellStrengths, cell: CellKind) => {
    const counts = groups.map((edges) => {
      const own = edges.map((edge) => open[cell][edge]!);
      return keptBy(derived, own);
    });
    const keeps = expectedKeeps(strengths, open[cell], { groups, counts });
    return expectedOn(keeps, pairs[cell]).sum();
  };
  return ({ normal, reduce }) =>
    scope(() => {
      const cost = cellCost(normal, "normal").add(base);
      return reduce ? cost.add(cellCost(reduce, "reduce")) : cost;
    });
}

/**
 * How often each pair is kept in the mean, [edges, primitives]: the pairs that each group of edges keeps, `counts`, are
 * shared out in proportion to the strengths of those that can be kept, `open`; the edges that are decided keep their own
 * whatever the others do.
 */
function expectedKeeps(
  { operations, certain = [] }: CellStrengths,
  open: Candidates["normal"],
  { groups, counts }: { readonly groups: readonly (readonly number[])[]; readonly counts: readonly number[] },
): Tensor {
  const { shape, dtype, device } = operations;
  const columns = shape[1]!;
  const mask = open.flatMap((own) => Array.from({ length: columns }, (_, k) => (own.includes(k) ? 1 : 0)));
  const possible = operations.mul(tensor(mask, shape, { dtype, device }));
  const shares = groups.map((edges, i) => {
    const own = aten.slice.Tensor(possible, 0, edges[0]!, edges.at(-1)! + 1);
    const free = edges.map((edge) => (certain.includes(edge) ? 0 : 1));
    const others = own.mul(tensor(free, [edges.length, 1], { dtype, device }));
    const left = counts[i]! - free.filter((value) => value === 0).length;
    const fixed = own.sub(others);
    return left > 0 ? fixed.add(others.mul(left).div(others.sum())) : fixed;
  });
  return cat(shares, 0);
}

/** The expected figure of each edge, [edges]: Σₖ weights[edge, k] · figures[edge][k]. */
export function expectedOn(weights: Tensor, figures: readonly (readonly number[])[]): Tensor {
  const { shape, dtype, device } = weights;
  return aten.sum.dim_IntList(weights.mul(tensor(figures.flat(), shape, { dtype, device })), [1]);
}

/** The columns of each edge that the configuration's search can keep. */
function keepable(config: Pick<Config, "space" | "search">): Candidates {
  const { none = false } = derivedCells(config);
  const { primitives } = config.space;
  const { normal, reduce } = openCandidates(config.space);
  const own = (rows: Candidates["normal"]) =>
    rows.map((row) => row.filter((k) => none || primitives[k] !== "none"));
  return { normal: own(normal), reduce: own(reduce) };
}

/** An operation on an edge. */
interface Pair {
  readonly cell: CellKind;
  readonly edge: number;
  readonly op: Edge[0];
}

/** A genotype with an edge from every state to every later node, all of them `none` but the pair. */
function withPair(space: SearchSpace, nodes: number, pair?: Pair): Genotype {
  const cell = (kind: CellKind) =>
    kindsOf(space).includes(kind)
      ? cellOf(
          eachNode(nodes, space.skeleton.inputs).map((edges) =>
            edges.map(
              (edge, from): Edge => [pair?.cell === kind && pair.edge === edge ? pair.op : "none", from],
            ),
          ),
        )
      : [];
  return genotypeIn(space, nodes, { normal: cell("normal"), reduce: cell("reduce") });
}

/** The edges into each node. */
function eachNode(nodes: number, inputs: Inputs): number[][] {
  return Array.from({ length: nodes }, (_, node) =>
    Array.from({ length: node + inputs }, (_, from) => edgeOffset(node, inputs) + from),
  );
}
