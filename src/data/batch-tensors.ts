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
