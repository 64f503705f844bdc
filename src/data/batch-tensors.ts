// From a batch's arrays to tensors on the device. The one place that says how images lie in memory.

import { aten } from "../tensor/aten.ts";
import { fromBytes, type Tensor } from "../tensor/tensor.ts";
import type { Batch } from "./batches.ts";

/** Images and labels on the device. */
export interface TensorBatch {
  /** [N, C, H, W], channels last in memory: libtorch's CPU convolutions are several times faster so. */
  readonly images: Tensor;
  /** Class indices, [N], int64. */
  readonly labels: Tensor;
  readonly size: number;
}

/** The part of a configuration's section that says how many images go through the network together. */
export interface BatchSizes {
  readonly batchSize: number;
  readonly microBatch: number | null;
}

/**
 * Cuts a batch into the fewest micro-batches of at most `largest` images (null: one), as even as they can be: a last one
 * of a single image would have no batch statistics. They share the batch's memory.
 */
export function microBatches(batch: TensorBatch, largest: number | null): TensorBatch[] {
  const count = largest === null ? 1 : Math.ceil(batch.size / largest);
  if (count === 1) return [batch];
  return Array.from({ length: count }, (_, i) => {
    const [start, end] = [i, i + 1].map((k) => Math.floor((k * batch.size) / count)) as [number, number];
    const cut = (tensor: Tensor) => aten.slice.Tensor(tensor, 0, start, end);
    return { images: cut(batch.images), labels: cut(batch.labels), size: end - start };
  });
}

/** Most images that are computed at once under a section's settings. */
export function imagesAtOnce({ batchSize, microBatch }: BatchSizes): number {
  return Math.min(batchSize, microBatch ?? batchSize);
}

/** Copies a batch to `device`. */
export function toTensors({ images, labels, shape, size }: Batch, device: string): TensorBatch {
  using rows = fromBytes(images, shape, { device });
  using narrow = fromBytes(labels, [size], { dtype: "int32", device });
  return {
    images: aten.contiguous.default(rows, "channels_last"),
    labels: narrow.to({ dtype: "int64" }),
    size,
  };
}
