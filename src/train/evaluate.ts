// How good a trained network is on a split: loss, top-1 and top-5.

import { toTensors } from "../data/batch-tensors.ts";
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

/** Measures `network` on `view` in evaluation mode; the network is in the mode it was in afterwards. */
export function evaluate(
  network: Network,
  view: View,
  {
    mean,
    std,
    batchSize,
    device,
  }: Pick<ImageDataset, "mean" | "std"> & { batchSize: number; device: string },
): Evaluation {
  const batches = createBatches(view, {
    mean,
    std,
    batchSize,
    augmentation: null,
    shuffle: false,
    seed: 0,
    stream: "evaluation",
  });
  const { training } = network;
  network.eval();
  const sums = { loss: 0, top1: 0, top5: 0, images: 0 };
  try {
    noGrad(() => {
      for (const batch of batches.epoch()) {
        scope(() => {
          const { images, labels, size } = toTensors(batch, device);
          const { logits } = network.forward(images);
          sums.loss += crossEntropy(logits, labels).item() * size;
          sums.top1 += topCorrect(logits, labels, 1);
          sums.top5 += topCorrect(logits, labels, 5);
          sums.images += size;
        });
      }
    });
  } finally {
    network.train(training);
  }
  const { images } = sums;
  return { loss: sums.loss / images, top1: sums.top1 / images, top5: sums.top5 / images, images };
}
