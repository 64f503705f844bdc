// What can be wrong with a configuration on a data set, found before a run folder is made and hours are spent.
import type { Config } from "../config/schema.ts";
import type { ImageDataset } from "../data/dataset.ts";
import type { Size } from "../data/resize.ts";
import { UserError } from "../errors.ts";
import { reducedSize } from "../genotype/counts.ts";
import { isReduction } from "../genotype/genotype.ts";
import { findMethod } from "../methods/table.ts";
import { checkBudget } from "../search/budget.ts";
import { splitsFor } from "../search/splits.ts";
import type { Intent } from "./plan.ts";
import { checkSelect } from "./select.ts";

/** Throws a {@link UserError} for what a search method cannot do with the configuration: known without the data. */
export function checkConfig(config: Config, { searches }: Pick<Intent, "searches">): void {
  if (!searches) return;
  checkSelect(config);
  const { check, options } = findMethod(config.search.method);
  check?.(config, options.parse(config.search.options));
}

/** Throws a {@link UserError} when there are too few images for the splits, too small ones for the network, or too small a budget. */
export function checkData(
  config: Config,
  dataset: Pick<ImageDataset, "classes" | "train">,
  { searches, trains }: Intent,
): void {
  if (searches) splitsFor(config, dataset);
  if (searches) checkBudget(config, dataset);
  if (trains && config.train.auxiliary) checkAuxiliary(config, dataset.train);
}

function checkAuxiliary({ train }: Config, { height, width }: Size): void {
  const { cells, stem } = train;
  const reductions = Array.from({ length: cells }, (_, i) => isReduction(i, cells)).filter(Boolean).length;
  const seen = reducedSize([height, width], reductions + (stem === "imagenet" ? 3 : 0));
  if (Math.min(...seen) >= 2) return;
  const other = stem === "imagenet" ? "train.stem to cifar, or " : "";
  throw new UserError(
    `Images of ${height}×${width} pixels are too small for the auxiliary head: it sees ${seen.join("×")}, ` +
      `expected at least 2×2. Set ${other}train.auxiliary to false, or use larger images.`,
  );
}
