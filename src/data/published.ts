// A published data set: downloaded once, verified, processed into the cache, read from there.
import { UserError } from "../errors.ts";
import { downloadsFolder, storedFolder } from "./cache.ts";
import type { ImageDataset, ImageSet } from "./dataset.ts";
import { megabytes, requireSpace } from "./disk.ts";
import { ensureDownloaded, type Source } from "./download.ts";
import { AS_THEY_ARE, type DataOptions, type DatasetEntry, type ImageFormat } from "./entry.ts";
import { channelStatistics } from "./statistics.ts";
import { readStored, storeDataset } from "./stored.ts";

/** What is known of a published data set's content, whatever the file it comes in. */
export interface Expected {
  readonly train: number;
  readonly test: number;
  readonly firstLabels: readonly number[];
  /** Channel means of the training images, to four digits. */
  readonly mean: readonly number[];
}

/** A published data set: its download and its readers. */
export interface Published {
  readonly name: string;
  readonly description: string;
  readonly source: Source;
  /** Bytes of its processed form. */
  readonly storedBytes: number;
  readonly expected: Expected;
  /** Reads the files of `source` from `folder`. */
  read(folder: string): Promise<ImageDataset>;
  /** Reads what the user brought. */
  readPath(path: string): Promise<ImageDataset>;
}

/** The table row of a published data set. */
export function publishedEntry(published: Published): DatasetEntry {
  const { name, description, source } = published;

  const make = async (options: DataOptions): Promise<ImageDataset> => {
    const downloads = downloadsFolder(options.cache, name);
    const folder = storedFolder(options.cache, name);
    await ensureDownloaded(source, downloads, options.report, options.signal);
    requireSpace(folder, published.storedBytes);
    options.report(`Unpacking ${name} (${megabytes(published.storedBytes)}) to ${folder}`);
    const dataset = await published.read(downloads);
    requireContent(dataset, published.expected);
    storeDataset(folder, dataset);
    return dataset;
  };

  const fromCache = async (options: DataOptions): Promise<ImageDataset> => {
    const stored = readStored(storedFolder(options.cache, name));
    if (stored.state === "whole") return stored.dataset;
    if (stored.state === "damaged") {
      options.report(`The cached ${name} is damaged and made again: ${stored.problems.join("; ")}`);
    }
    return make(options);
  };

  return {
    name,
    description,
    bytes: source.bytes,
    async get(options) {
      await fromCache(options);
    },
    async load(options) {
      const dataset =
        options.path === null ? await fromCache(options) : await published.readPath(options.path);
      requireOwnFormat(dataset, options);
      return dataset;
    },
    async verify({ cache }) {
      const folder = storedFolder(cache, name);
      const stored = readStored(folder);
      return { state: stored.state, folder, problems: stored.state === "damaged" ? stored.problems : [] };
    },
  };
}

/** Throws a {@link UserError} unless counts, first labels and channel means are the published ones. */
export function requireContent(dataset: ImageDataset, expected: Expected): void {
  const differ = (what: string, got: unknown, wanted: unknown) => {
    throw new UserError(
      `This is not ${dataset.name}: got ${what} ${got}, expected ${wanted}. ` +
        "Fetch the files again, or set data.name to folder for images of your own.",
    );
  };
  const { train, test } = dataset;
  if (train.count !== expected.train) differ("training images", train.count, expected.train);
  if (test.count !== expected.test) differ("test images", test.count, expected.test);
  const labels = Array.from(train.labels.subarray(0, expected.firstLabels.length));
  if (labels.join(" ") !== expected.firstLabels.join(" ")) {
    differ("first labels", labels.join(" "), expected.firstLabels.join(" "));
  }
  const { mean } = channelStatistics(train);
  if (mean.some((value, c) => Math.abs(value - expected.mean[c]) > 1e-4)) {
    differ("channel means", mean.map((value) => value.toFixed(4)).join(" "), expected.mean.join(" "));
  }
}

/** A label outside the classes is a damaged file: `where` names it. */
export function requireLabels(set: ImageSet, classes: number, where: string): void {
  const at = set.labels.findIndex((label: number) => label >= classes);
  if (at < 0) return;
  throw new UserError(
    `${where}: label ${set.labels[at]} of image ${at} is none of the ${classes} classes. The file is damaged; fetch it again.`,
  );
}

/** A published data set has its own size, channels and split: keys that ask for others are refused, not ignored. */
function requireOwnFormat({ name, train }: ImageDataset, asked: DataOptions): void {
  const { height, width, channels } = train;
  const own: ImageFormat = { ...AS_THEY_ARE, imageSize: height, imageWidth: width, channels };
  for (const key of Object.keys(own) as (keyof ImageFormat)[]) {
    if (asked[key] === own[key] || asked[key] === AS_THEY_ARE[key]) continue;
    throw new UserError(
      `data.${key} is ${asked[key]}, but images of ${name} have their own size, ${height}×${width}×${channels}, ` +
        `and their own test images. Leave data.${key} out; it is for data.name: folder.`,
    );
  }
}
