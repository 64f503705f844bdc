// The loss of a batch in a search: cut into micro-batches, each a pass of the supernet under the method's mixture.
import { microBatches, type TensorBatch } from "../data/batch-tensors.ts";
import { crossEntropy } from "../nn/loss.ts";
import type { Loss } from "../optim/accumulate.ts";
import type { Supernet } from "../space/supernet.ts";
import { generatorState, withDraws } from "../tensor/runtime.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Purpose, SearchMethod } from "./method.ts";

/** What computes a batch's loss. */
export interface LossContext {
  readonly supernet: Supernet;
  readonly method: Pick<SearchMethod, "mixture">;
  readonly device: string;
  /** Most images of a pass; null: the whole batch in one. */
  readonly microBatch: number | null;
}

/**
 * Mean cross-entropy of `batch`, one part for each micro-batch, weighted by its images; `seen` is shown the logits of
 * each. What the method samples for a batch it samples once: every part mixes with the same draws. Batch normalisation
 * in training mode takes the statistics of a micro-batch, and moves its running ones once for each; without it (or in
 * evaluation mode) the gradient is the whole batch's.
 */
export function batchLoss(
  { supernet, method, device, microBatch }: LossContext,
  batch: TensorBatch,
  purpose: Purpose,
  seen?: (logits: Tensor, labels: Tensor) => void,
): Loss {
  const mix = () => method.mixture(purpose);
  let draws: Uint8Array | undefined;
  return microBatches(batch, microBatch).map(({ images, labels, size }, i, { length }) => () => {
    if (i === 0 && length > 1) draws = generatorState(device);
    const logits = supernet.forward(images, i === 0 ? mix() : withDraws(draws!, device, mix));
    seen?.(logits, labels);
    const loss = crossEntropy(logits, labels);
    return length === 1 ? loss : loss.mul(size / batch.size);
  });
}
