// Parameters and multiply-adds of the network that a configuration builds from a genotype.
import type { Config } from "../config/schema.ts";
import type { ImageDataset } from "../data/dataset.ts";
import { countNetwork } from "../genotype/counts.ts";
import type { Genotype } from "../genotype/genotype.ts";

/** Counted without the auxiliary head, as the literature counts. */
export function costOf(
  genotype: Genotype,
  { config, dataset }: { config: Pick<Config, "train">; dataset: Pick<ImageDataset, "classes" | "train"> },
): { params: number; macs: number } {
  const { channels, cells, stem } = config.train;
  const { params, macs } = countNetwork(genotype, {
    channels,
    cells,
    stem,
    classes: dataset.classes.length,
    imageSize: [dataset.train.height, dataset.train.width],
    imageChannels: dataset.train.channels,
  });
  return { params, macs };
}
