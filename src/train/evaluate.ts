// How good a trained network is on a split: loss, top-1 and top-5.

import { type TensorBatch, toTensors } from "../data/batch-tensors.ts";
import { createBatches } from "../data/batches.ts";
import type { ImageDataset } from "../data/dataset.ts";
import type { View } from "../data/splits.ts";
import { crossEntropy, topCorrect } from "../nn/loss.ts";
import type { Network } from "../space/network.ts";
import { noGrad } from "../tensor/autograd.ts";
import { scope } from "../tensor/scope.ts";

/** A measurement; accuracies are 0…1. */
export interface Evaluation {
  readonly loss: number;
  readonly top1: number;
  readonly top5: number;
  readonly images: number;
}

/** How images are brought before a network. */
export type EvaluationOptions = Pick<ImageDataset, "mean" | "std"> & {
  readonly batchSize: number;
  readonly device: string;
};

/** Measures `network` on `view` in evaluation mode; the network is in the mode it was in afterwards. */
export function evaluate(network: Network, view: View, options: EvaluationOptions): Evaluation {
  const batches = evaluation(network, view, options);
  for (;;) {
    const { done, value } = batches.next();
    if (done) return value;
  }
}

/** {@link evaluate} batch by batch, for a caller that has other things to do in between. */
export function* evaluation(
  network: Network,
  view: View,
  { mean, std, batchSize, device }: EvaluationOptions,
): Generator<void, Evaluation> {
  const batches = createBatches(view, {
    mean,
    std,
    batchSize,
    augmentation: null,
    shuffle: false,
    seed: 0,
    stream: "evaluation",
  });
  const sums = { loss: 0, top1: 0, top5: 0, images: 0 };
  const { training } = network;
  network.eval();
  try {
    for (const batch of batches.epoch()) {
      noGrad(() => scope(() => addBatch(sums, network, toTensors(batch, device))));
      yield;
    }
  } finally {
    network.train(training);
  }
  const { images } = sums;
  return { loss: sums.loss / images, top1: sums.top1 / images, top5: sums.top5 / images, images };
}

function addBatch(
  sums: { loss: number; top1: number; top5: number; images: number },
  network: Network,
  { images, labels, size }: TensorBatch,
): void {
  const { logits } = network.forward(images);
  sums.loss += crossEntropy(logits, labels).item() * size;
  sums.top1 += topCorrect(logits, labels, 1);
  sums.top5 += topCorrect(logits, labels, 5);
  sums.images += size;
}
