// The table of data sets, and the way to load the one that a configuration names.
import { nearest } from "../config/nearest.ts";
import type { Config } from "../config/schema.ts";
import { UserError } from "../errors.ts";
import { createGenerator } from "../random/generator.ts";
import { cacheFolder } from "./cache.ts";
import { CIFAR10, cifar10Entry } from "./cifar10.ts";
import type { ImageDataset } from "./dataset.ts";
import type { Report } from "./download.ts";
import type { DatasetEntry } from "./entry.ts";
import { IMAGE_FOLDER } from "./image-folder.ts";
import { FASHION_MNIST, idxEntry, MNIST } from "./mnist.ts";
import { subset } from "./splits.ts";

const datasets: Record<string, DatasetEntry> = {
  cifar10: cifar10Entry(CIFAR10),
  mnist: idxEntry(MNIST),
  "fashion-mnist": idxEntry(FASHION_MNIST),
  folder: IMAGE_FOLDER,
};

/** Every data set by its name. */
export const DATASETS: Readonly<Record<string, DatasetEntry>> = datasets;

/** Adds a row to the table; its name must be free. */
export function addDataset(entry: DatasetEntry): void {
  datasets[entry.name] = entry;
}

/** What says which images to load: a part of a configuration's `data` section. */
export type DataRequest = Omit<
  Config["data"],
  "weightsShare" | "crop" | "cropPadding" | "flip" | "colorJitter"
>;

/** How a data set is loaded. */
export interface LoadOptions {
  /** Draws the smaller sets. */
  readonly seed: number;
  readonly report?: Report;
  /** Cache folder (default: {@link cacheFolder}). */
  readonly cache?: string;
  /** Ends a download, leaving nothing of it, and the reading of a folder. */
  readonly signal?: AbortSignal | undefined;
}

/** The table row of that name; an unknown name is a {@link UserError} that says the nearest one. */
export function datasetEntry(name: string): DatasetEntry {
  if (Object.hasOwn(DATASETS, name)) return DATASETS[name];
  const names = Object.keys(DATASETS);
  const guess = nearest(name, names);
  throw new UserError(
    `There is no data set "${name}"${guess ? `; did you mean "${guess}"?` : "."} data.name is one of ${names.join(", ")}.`,
  );
}

/**
 * Loads the data set that `data` names, downloading it on the first use, and draws the smaller training and
 * test sets it asks for by `seed`. Mean and deviation stay those of the whole data set.
 */
export async function loadDataset(
  data: DataRequest,
  { seed, report = () => {}, cache, signal }: LoadOptions,
): Promise<ImageDataset> {
  const { name, path, trainImages, testImages, ...format } = data;
  const entry = datasetEntry(name);
  // One's own images need no cache, and a user without a home has none.
  const kept = cache ?? (entry === IMAGE_FOLDER ? "" : cacheFolder());
  const dataset = await entry.load({ path, ...format, cache: kept, report, signal });
  const { train, test } = dataset;
  return {
    ...dataset,
    train: trainImages === null ? train : subset(train, trainImages, createGenerator(seed, "data/train")),
    test: testImages === null ? test : subset(test, testImages, createGenerator(seed, "data/test")),
  };
}
