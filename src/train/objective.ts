// What a training minimises: the main head's cross-entropy and a share of the auxiliary head's, in micro-batches.
import type { Config } from "../config/schema.ts";
import { microBatches, type TensorBatch } from "../data/batch-tensors.ts";
import { crossEntropy, topCorrect } from "../nn/loss.ts";
import { lossGradient } from "../optim/accumulate.ts";
import type { Network } from "../space/network.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** The keys that the objective depends on. */
export type ObjectiveOptions = Pick<Config["train"], "auxiliaryWeight" | "labelSmoothing" | "microBatch"> & {
  /** Drop-path probability of the moment. */
  readonly dropPath: number;
};

/** One batch's figures and gradients. */
export interface ObjectiveGradient {
  /** Mean loss of the main head. */
  readonly loss: number;
  /** Images classified rightly. */
  readonly correct: number;
  readonly gradients: (Tensor | undefined)[];
}

/**
 * Gradient of the batch's mean objective in `parameters`, added up over its micro-batches by their images. Each draws
 * the drop-path masks of its own images, in turn: as many as in one pass, not the same ones. Batch normalisation takes
 * the statistics of a micro-batch, and moves its running ones once for each.
 */
export function objectiveGradient(
  network: Network,
  batch: TensorBatch,
  parameters: readonly Tensor[],
  { auxiliaryWeight, labelSmoothing, microBatch, dropPath }: ObjectiveOptions,
): ObjectiveGradient {
  let loss = 0;
  let correct = 0;
  const parts = microBatches(batch, microBatch).map(({ images, labels, size }) => () => {
    const share = size / batch.size;
    const { logits, auxiliary } = network.forward(images, { probability: dropPath });
    const main = crossEntropy(logits, labels, { labelSmoothing });
    loss += main.item() * share;
    correct += topCorrect(logits, labels, 1);
    const objective = auxiliary
      ? main.add(crossEntropy(auxiliary, labels, { labelSmoothing }).mul(auxiliaryWeight))
      : main;
    return share === 1 ? objective : objective.mul(share);
  });
  const { gradients } = lossGradient(parts, parameters);
  return { loss, correct, gradients };
}
