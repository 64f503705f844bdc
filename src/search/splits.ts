// Which images a search learns from.
import type { Config } from "../config/schema.ts";
import type { ImageDataset } from "../data/dataset.ts";
import { type SearchSplits, searchSplits, subset } from "../data/splits.ts";
import { createGenerator } from "../random/generator.ts";

/**
 * The images of a search: those that train the weights and those that move the alphas (one-level: all for both).
 * Throws a UserError when there are not enough.
 */
export function splitsFor(config: Config, { train }: Pick<ImageDataset, "train">): SearchSplits {
  const { seed, search, data } = config;
  const images =
    search.trainImages === null
      ? train
      : subset(train, search.trainImages, createGenerator(seed, "search/images"));
  const { weightsShare } = data;
  return searchSplits({ train: images }, { seed, weightsShare, oneLevel: isOneLevel(config) });
}

/** Whether all images train weights and alphas, so that none are left for a validation. */
export function isOneLevel({ search }: Config): boolean {
  return search.order === "joint" || search.order === "alternating";
}
