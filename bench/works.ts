// Our side of the benchmark: the product's own supernet, search step and training step on fixed random images.
// What each does is what peer/peer.py does under the same name; the same numbers of everything.

import { type TensorBatch, toTensors } from "../src/data/batch-tensors.ts";
import { findGenotype } from "../src/genotype/published.ts";
import { crossEntropy } from "../src/nn/loss.ts";
import { Adam } from "../src/optim/adam.ts";
import { clipGradNorm } from "../src/optim/clip.ts";
import { SGD } from "../src/optim/sgd.ts";
import { createGenerator } from "../src/random/generator.ts";
import { batchLoss } from "../src/search/batch-loss.ts";
import { createDarts } from "../src/search/darts.ts";
import type { SearchMethod } from "../src/search/method.ts";
import { Network } from "../src/space/network.ts";
import { DARTS_PRIMITIVES } from "../src/space/primitives.ts";
import { Supernet } from "../src/space/supernet.ts";
import { grad } from "../src/tensor/autograd.ts";
import type { Size, WorkName } from "./work-names.ts";

/** One step; returns a number that depends on all of it. Tensors that it makes are its caller's to free. */
export type Step = () => number;

const DEVICE = "cpu";
const GRAD_CLIP = 5;
/** Half-way through a training with the published 0.2. */
const DROP_PATH = 0.1;
const AUXILIARY_WEIGHT = 0.4;
const WEIGHT_OPTIMIZER = { learningRate: 0.025, momentum: 0.9, weightDecay: 3e-4 };
const ARCH_OPTIMIZER = { learningRate: 3e-4, betas: [0.5, 0.999], weightDecay: 1e-3 } as const;

/** Builds a work: the published sizes where `size` says nothing. */
export const WORKS: Record<WorkName, (size: Size) => Step> = {
  "supernet-step": supernetStep,
  "first-order-step": (size) => searchStep(size, "first"),
  "second-order-step": (size) => searchStep(size, "second"),
  "evaluation-step": evaluationStep,
};

/** Forward and backward; gradients of weights and alphas. */
function supernetStep(size: Size): Step {
  const { method, supernet } = createSearch(size, "first");
  const batch = fixedBatch(size.batch ?? 64, 1);
  const inputs = [...supernet.parameters(), ...method.alphas.values()];
  return () => {
    const loss = crossEntropy(supernet.forward(batch.images, method.mixture("weights", 0)), batch.labels);
    const gradients = grad([loss], inputs);
    return loss.item() + gradients.at(-1)!.sum().item();
  };
}

/** The alpha step on one batch, then the weight step on another, as search.ts asks the method for it. */
function searchStep(size: Size, order: "first" | "second"): Step {
  const { method, supernet } = createSearch(size, order);
  const random = createGenerator(0);
  const context = { supernet, method, device: DEVICE, random, microBatch: null, epoch: 0 };
  const [trainBatch, archBatch] = [1, 2].map((seed) => fixedBatch(size.batch ?? 64, seed));
  const weightOptimizer = new SGD(supernet.parameters(), WEIGHT_OPTIMIZER);
  const archOptimizer = new Adam([...method.alphas.values()], ARCH_OPTIMIZER);
  return () =>
    method.step({
      epoch: 0,
      weights: weightOptimizer.parameters,
      buffers: supernet.buffers(),
      alphas: archOptimizer.parameters,
      weightOptimizer,
      archOptimizer,
      gradClip: GRAD_CLIP,
      archGradClip: 0,
      device: DEVICE,
      random,
      trainBatch,
      archBatch: () => archBatch,
      loss: (batch, purpose, seen) => batchLoss(context, batch, purpose, seen),
      evaluating: (fn) => supernet.evaluating(fn),
    }).trainLoss;
}

/** A training step of DARTS_V2 with auxiliary head and drop-path, as training.ts makes it. */
function evaluationStep({ batch = 96, channels = 36, cells = 20 }: Size): Step {
  const network = new Network({
    genotype: findGenotype("DARTS_V2"),
    channels,
    cells,
    classes: 10,
    imageChannels: 3,
    imageSize: 32,
    stem: "cifar",
    auxiliary: true,
  });
  const { images, labels } = fixedBatch(batch, 1);
  const optimizer = new SGD(network.parameters(), WEIGHT_OPTIMIZER);
  return () => {
    const { logits, auxiliary } = network.forward(images, { probability: DROP_PATH });
    const loss = crossEntropy(logits, labels).add(crossEntropy(auxiliary!, labels).mul(AUXILIARY_WEIGHT));
    const gradients = grad([loss], optimizer.parameters);
    clipGradNorm(gradients, GRAD_CLIP);
    optimizer.step(gradients);
    return loss.item();
  };
}

function createSearch(
  { channels = 16, cells = 8 }: Size,
  order: "first" | "second",
): { method: SearchMethod; supernet: Supernet } {
  const space = { nodes: 4, primitives: DARTS_PRIMITIVES };
  const random = createGenerator(0);
  const shape = { channels, cells, imageSize: [32, 32] as const };
  const method = createDarts({
    ...space,
    ...shape,
    epochs: 50,
    order,
    archFromEpoch: 0,
    device: DEVICE,
    random,
  });
  const supernet = new Supernet({
    ...space,
    channels,
    cells,
    stemMultiplier: 3,
    imageChannels: 3,
    classes: 10,
    createEdge: method.createEdge,
  });
  return { method, supernet };
}

/** Random images of CIFAR-10's shape with unit variance, on their way into a tensor like any real batch. */
function fixedBatch(size: number, seed: number): TensorBatch {
  const generator = createGenerator(seed, "bench");
  const images = new Float32Array(size * 3 * 32 * 32).map(() => Math.sqrt(12) * (generator.uniform() - 0.5));
  const labels = new Int32Array(size).map(() => generator.int(0, 9));
  return toTensors({ images, labels, size, shape: [size, 3, 32, 32] }, DEVICE);
}
