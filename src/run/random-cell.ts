// The random cells that a found cell is compared with: drawn by the seed alone, of as many edges as the search method
// keeps, and held to the budget that the found one is held to.
import type { Config } from "../config/schema.ts";
import type { ImageDataset } from "../data/dataset.ts";
import { UserError } from "../errors.ts";
import type { Genotype } from "../genotype/genotype.ts";
import { randomGenotype } from "../genotype/random.ts";
import { derivedCells } from "../methods/table.ts";
import { createGenerator } from "../random/generator.ts";
import { type BudgetCheck, budgetText, checkDerived, limitsOf } from "../search/budget.ts";
import { costOf } from "../search/costs.ts";
import { findSpace, spaceCandidates } from "../space/spaces.ts";

/** Most cells that are drawn for one that keeps the budget. */
export const MOST_DRAWS = 10_000;

/** A cell as it was drawn. */
export interface DrawnCell {
  readonly genotype: Genotype;
  /** Cells drawn until this one kept the budget; absent without a budget. */
  readonly draws?: number;
}

/**
 * The `index`-th random cell of a run, from 1: uniform among the cells of the space and, where there is a budget, among
 * those whose network keeps it, as cells are drawn until one does. Throws a {@link UserError} when none of
 * {@link MOST_DRAWS} does.
 */
export function drawRandomCell(
  { config, dataset }: { readonly config: Config; readonly dataset: Pick<ImageDataset, "classes" | "train"> },
  index: number,
): DrawnCell {
  const { name, nodes, primitives } = config.space;
  const { kept, shared, fixed } = derivedCells(config);
  const candidates = spaceCandidates(config.space);
  const space = findSpace(name);
  const generator = createGenerator(config.seed, `random-cell-${index}`);
  const draw = (): Genotype => ({
    ...randomGenotype(generator, { nodes, primitives, kept, shared, candidates, space }),
    ...fixed,
  });
  const over = (genotype: Genotype) =>
    checkDerived(config, costOf(genotype, { config, dataset })).filter(
      ({ derived, limit }) => derived > limit,
    );
  if (limitsOf(config).length === 0) return { genotype: draw() };
  let nearest: readonly BudgetCheck[] = [];
  for (let draws = 1; draws <= MOST_DRAWS; draws++) {
    const genotype = draw();
    const excess = over(genotype);
    if (excess.length === 0) return { genotype, draws };
    if (draws === 1 || worst(excess) < worst(nearest)) nearest = excess;
  }
  throw new UserError(
    `None of ${MOST_DRAWS.toLocaleString("en-US")} random cells keeps the budget; the nearest has ` +
      `${nearest.map(budgetText).join("; ")}. Raise the limit, or train no random cells: set train.randomCells to 0.`,
  );
}

/** By how much the limit that is broken most is broken. */
function worst(checks: readonly BudgetCheck[]): number {
  return Math.max(...checks.map(({ derived, limit }) => derived / limit));
}
