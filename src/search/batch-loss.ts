// The loss of a batch in a search: cut into micro-batches, each a pass of the supernet under the method's mixture.
import { microBatches, type TensorBatch } from "../data/batch-tensors.ts";
import { crossEntropy } from "../nn/loss.ts";
import type { Loss } from "../optim/accumulate.ts";
import type { Generator } from "../random/generator.ts";
import type { Supernet } from "../space/supernet.ts";
import { drawsOf, replaying } from "./draws.ts";
import type { Purpose, SearchMethod, SeenPart } from "./method.ts";

/** What computes a batch's loss. */
export interface LossContext {
  readonly supernet: Supernet;
  readonly method: Pick<SearchMethod, "mixture">;
  readonly device: string;
  /** What the method draws from. */
  readonly random: Generator;
  /** Most images of a pass; null: the whole batch in one. */
  readonly microBatch: number | null;
  readonly epoch: number;
  /** Whether libtorch computes it all, so that it has second derivatives. */
  readonly composite?: boolean;
}

/**
 * The loss of `batch`, one part for each micro-batch: its share of the mean cross-entropy, and in the first the
 * mixture's penalty. `seen` is shown the logits of each. What the method samples for a batch it samples once: every
 * part mixes with the same draws. Batch normalisation in training mode takes the statistics of a micro-batch, and moves
 * its running ones once for each; without it (or in evaluation mode) the gradient is the whole batch's.
 */
export function batchLoss(context: LossContext, batch: TensorBatch, purpose: Purpose, seen?: SeenPart): Loss {
  const { supernet, method, microBatch, epoch, composite } = context;
  const mix = () => method.mixture(purpose, epoch);
  let rewind: () => void;
  return microBatches(batch, microBatch).map(({ images, labels, size }, i, { length }) => () => {
    if (i === 0 && length > 1) rewind = drawsOf(context);
    const { penalty, ...mixture } = i === 0 ? mix() : replaying(rewind, context, mix);
    const logits = supernet.forward(images, composite ? { ...mixture, composite } : mixture);
    const mean = crossEntropy(logits, labels);
    const share = length === 1 ? mean : mean.mul(size / batch.size);
    seen?.(logits, labels, share);
    return penalty && i === 0 ? share.add(penalty) : share;
  });
}
