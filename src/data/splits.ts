// The three splits of DARTS (arXiv:1806.09055, section 3.1): one part of the training images trains the
// weights, the other the architecture, and the test images are read once, by the final report.
import { UserError } from "../errors.ts";
import { createGenerator, type Generator } from "../random/generator.ts";
import type { ImageDataset, ImageSet } from "./dataset.ts";

/** Some images of a set, in an order. */
export interface View {
  readonly set: ImageSet;
  readonly indices: Uint32Array;
}

/** What a search gets of a data set: neither view reaches a test image. */
export interface SearchSplits {
  readonly weights: View;
  readonly architecture: View;
}

/** The test images under seal: the view comes only by {@link SealedSplit.open}, which keeps a record. */
export interface SealedSplit {
  readonly count: number;
  /** Who opened it, in order; belongs in the report. */
  readonly openedBy: readonly string[];
  /** The test images, for `reader`, such as "final report". */
  open(reader: string): View;
}

/**
 * Splits the training images by a permutation drawn from `seed`: the first floor(weightsShare · N) train the
 * weights, the rest the architecture. Images that their owner set apart for validation are the rest instead.
 * With `oneLevel`, both are all training images.
 */
export function searchSplits(
  dataset: Pick<ImageDataset, "train">,
  { seed, weightsShare = 0.5, oneLevel = false }: { seed: number; weightsShare?: number; oneLevel?: boolean },
): SearchSplits {
  const { train } = dataset;
  const all = allOf(train);
  if (oneLevel) return { weights: all, architecture: all };
  const { validFrom } = train;
  const order = validFrom === undefined ? createGenerator(seed, "splits").shuffle(all.indices) : all.indices;
  const count = validFrom ?? Math.floor(weightsShare * train.count);
  if (count === 0 || count === train.count) {
    const cause = validFrom === undefined ? `data.weightsShare ${weightsShare}` : "The folder valid/";
    throw new UserError(
      `${cause} of ${train.count} training images leaves ` +
        `${count} for the weights and ${train.count - count} for the architecture; each needs at least one.`,
    );
  }
  return {
    weights: { set: train, indices: order.slice(0, count) },
    architecture: { set: train, indices: order.slice(count) },
  };
}

/** All training images, for training a derived network from scratch. */
export function trainingSplit(dataset: Pick<ImageDataset, "train">): View {
  return allOf(dataset.train);
}

/** The test images, sealed. */
export function testSplit(dataset: Pick<ImageDataset, "test">): SealedSplit {
  const { test } = dataset;
  const openedBy: string[] = [];
  return {
    count: test.count,
    openedBy,
    open(reader) {
      openedBy.push(reader);
      return allOf(test);
    },
  };
}

/** `count` images of `set`, drawn by `generator`, in their old order. */
export function subset(set: ImageSet, count: number, generator: Generator): ImageSet {
  if (count > set.count) {
    throw new UserError(
      `${count} images are asked for, but there are ${set.count}. Ask for fewer, or for null: all.`,
    );
  }
  const chosen = generator.shuffle(allOf(set).indices).subarray(0, count).sort();
  const size = set.channels * set.height * set.width;
  const images = new Uint8Array(count * size);
  const labels = set.labels.slice(0, count); // for its type; filled below
  for (const [n, index] of chosen.entries()) {
    images.set(set.images.subarray(index * size, (index + 1) * size), n * size);
    labels[n] = set.labels[index];
  }
  const { validFrom } = set;
  if (validFrom === undefined) return { ...set, images, labels, count };
  return { ...set, images, labels, count, validFrom: chosen.filter((index) => index < validFrom).length };
}

function allOf(set: ImageSet): View {
  return { set, indices: Uint32Array.from({ length: set.count }, (_, i) => i) };
}
