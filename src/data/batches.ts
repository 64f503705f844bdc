// Mini-batches with a state that fits in a checkpoint: after a restore the next batch has the same bytes,
// also in the middle of an epoch. One iterator lives through a whole run; the original code builds the one
// for the architecture anew at every step and so, where it is unshuffled, always gets the same batch.
import { UserError } from "../errors.ts";
import { createGenerator, type GeneratorState } from "../random/generator.ts";
import { type Augmentation, createTransform, type Normalisation } from "./augment.ts";
import type { View } from "./splits.ts";

/** Some images, ready for the network. Its arrays are used again by the next batch of the same iterator. */
export interface Batch {
  /** [size, channels, height, width] */
  readonly images: Float32Array;
  /** Class index of each image, [size]. */
  readonly labels: Int32Array;
  readonly size: number;
  readonly shape: readonly [size: number, channels: number, height: number, width: number];
}

/** How a view is cut into batches. */
export interface BatchesOptions extends Normalisation {
  readonly batchSize: number;
  /** null: only normalised, for evaluation. */
  readonly augmentation: Augmentation | null;
  /** A new order in every epoch (default true). */
  readonly shuffle?: boolean;
  /** Leaves out a last batch that is not full (default false). */
  readonly dropLast?: boolean;
  readonly seed: number;
  /** Separates iterators under one seed, such as "search/weights". */
  readonly stream: string;
}

/** Where an iterator stands: plain numbers, safe to write as JSON. */
export interface BatchesState {
  /** Size of the view and of a batch, to notice a state that belongs to other data. */
  readonly images: number;
  readonly batchSize: number;
  /** Epochs finished. */
  readonly epoch: number;
  /** Batches of the current epoch already given. */
  readonly batch: number;
  /** State before the current epoch's order was drawn. */
  readonly order: GeneratorState;
  readonly augmentation: GeneratorState;
}

/** An endless sequence of batches, epoch after epoch. */
export interface Batches {
  readonly batchesPerEpoch: number;
  /** The next batch; after the last one of an epoch comes the first one of the next. */
  next(): Batch;
  /** The batches left in the current epoch: all of it at its start, the rest of it after a restore. */
  epoch(): Iterable<Batch>;
  state(): BatchesState;
  /** Continues from what {@link Batches.state} returned; a state of other data is a {@link UserError}. */
  restore(state: BatchesState): void;
}

/** The same place in an epoch that is cut into batches of another size: after as many images, or a few less. */
export function withBatchSize(state: BatchesState, batchSize: number): BatchesState {
  const batch = Math.floor((state.batch * state.batchSize) / batchSize);
  return { ...state, batchSize, batch };
}

/** Batches of `view`. */
export function createBatches(view: View, options: BatchesOptions): Batches {
  const { batchSize, shuffle = true, dropLast = false, seed, stream } = options;
  const { set, indices } = view;
  const count = indices.length;
  const batchesPerEpoch = dropLast ? Math.floor(count / batchSize) : Math.ceil(count / batchSize);
  if (batchesPerEpoch === 0) {
    throw new UserError(
      `${stream}: ${count} images make no batch of ${batchSize}. Use a smaller batch size or more images.`,
    );
  }
  const orderGenerator = createGenerator(seed, `${stream}/order`);
  const augmentGenerator = createGenerator(seed, `${stream}/augmentation`);
  const transform = createTransform(set, options, options.augmentation);
  const imageSize = set.channels * set.height * set.width;
  const largest = Math.min(batchSize, count);
  const images = new Float32Array(largest * imageSize);
  const labels = new Int32Array(largest);
  const order = new Uint32Array(count);

  let epoch = 0;
  let batch = 0;
  let orderState = orderGenerator.state();
  let drawn = false; // whether `order` is that of the current epoch

  /** Draws the epoch's order from the view's own, so that the state before it says all. */
  const draw = () => {
    order.set(indices);
    if (shuffle) orderGenerator.shuffle(order);
    drawn = true;
  };

  const next = (): Batch => {
    if (!drawn) draw();
    const start = batch * batchSize;
    const size = Math.min(batchSize, count - start);
    for (let i = 0; i < size; i++) {
      const index = order[start + i];
      transform(index, images, i * imageSize, augmentGenerator);
      labels[i] = set.labels[index];
    }
    if (++batch === batchesPerEpoch) {
      epoch++;
      batch = 0;
      orderState = orderGenerator.state();
      drawn = false;
    }
    return {
      images: images.subarray(0, size * imageSize),
      labels: labels.subarray(0, size),
      size,
      shape: [size, set.channels, set.height, set.width],
    };
  };

  return {
    batchesPerEpoch,
    next,
    *epoch() {
      for (const current = epoch; epoch === current; ) yield next();
    },
    state: () => ({
      images: count,
      batchSize,
      epoch,
      batch,
      order: [...orderState],
      augmentation: [...augmentGenerator.state()],
    }),
    restore(state) {
      if (state.images !== count || state.batchSize !== batchSize || state.batch >= batchesPerEpoch) {
        throw new UserError(
          `${stream}: the checkpoint is of ${state.images} images in batches of ${state.batchSize}, ` +
            `this run has ${count} in batches of ${batchSize}. Resume with the same data and batch size.`,
        );
      }
      epoch = state.epoch;
      batch = state.batch;
      orderState = state.order;
      orderGenerator.restore(state.order);
      augmentGenerator.restore(state.augmentation);
      drawn = false;
      if (batch > 0) draw();
    },
  };
}
