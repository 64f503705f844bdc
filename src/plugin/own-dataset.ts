// A plugin's data set as a row of the table: what it gives is checked before anything is learnt from it.
import type { ImageDataset, ImageSet } from "../data/dataset.ts";
import type { DatasetEntry } from "../data/entry.ts";
import { channelStatistics } from "../data/statistics.ts";
import { UserError } from "../errors.ts";
import type { DatasetDefinition, LoadedImages } from "./define.ts";

/** The row of a definition. It keeps nothing in the cache by itself, so there is nothing to fetch or verify. */
export function datasetEntryOf({ name, description, load }: DatasetDefinition): DatasetEntry {
  const entry: DatasetEntry = {
    name,
    description,
    bytes: 0,
    async get(options) {
      await entry.load(options);
    },
    async load(options) {
      return completed(name, await load(options));
    },
    async verify() {
      return { state: "yours", folder: "", problems: [] };
    },
  };
  return entry;
}

function completed(name: string, { classes, train, test, mean, std }: LoadedImages): ImageDataset {
  const wrong = (what: string): never => {
    throw new UserError(`The data set ${name}: ${what}. Mend the load function of its plugin.`);
  };
  if (!Array.isArray(classes) || classes.length < 2)
    wrong(`got the classes ${classes}, expected at least two names`);
  for (const [split, set] of Object.entries({ train, test })) {
    const problem = problemOf(set, classes.length);
    if (problem) wrong(`${split}: ${problem}`);
  }
  for (const key of ["channels", "height", "width"] as const)
    if (train[key] !== test[key])
      wrong(`${key} is ${train[key]} in train and ${test[key]} in test, expected one`);
  if ((mean ?? std) === undefined) return { name, classes, ...channelStatistics(train), train, test };
  if (mean?.length !== train.channels || std?.length !== train.channels)
    wrong(`mean and std hold ${mean?.length} and ${std?.length} numbers, expected ${train.channels} each`);
  return { name, classes, mean: mean!, std: std!, train, test };
}

function problemOf(set: ImageSet, classes: number): string | undefined {
  const { images, labels, count, channels, height, width } = set ?? {};
  if (!(images instanceof Uint8Array)) return "images is no Uint8Array";
  const expected = count * channels * height * width;
  if (images.length !== expected || count === 0) {
    return `images has ${images.length} bytes, expected count·channels·height·width = ${expected}, and more than 0`;
  }
  if (!(labels instanceof Uint8Array || labels instanceof Uint16Array))
    return "labels is no Uint8Array or Uint16Array";
  if (labels.length !== count)
    return `there are ${labels.length} labels, expected one for each of ${count} images`;
  const at = labels.findIndex((label: number) => label >= classes);
  return at < 0 ? undefined : `image ${at} has the label ${labels[at]}, expected one of ${classes} classes`;
}
