// Our side of the benchmark: the product's own supernet, search step and training step on fixed random images.
// What each does is what peer/peer.py does under the same name; the same numbers of everything.

import { join } from "node:path";
import { type TensorBatch, toTensors } from "../src/data/batch-tensors.ts";
import { findGenotype } from "../src/genotype/published.ts";
import { crossEntropy } from "../src/nn/loss.ts";
import { Adam } from "../src/optim/adam.ts";
import { clipGradNorm } from "../src/optim/clip.ts";
import { SGD } from "../src/optim/sgd.ts";
import { createGenerator } from "../src/random/generator.ts";
import { loadWeights } from "../src/run/checkpoint.ts";
import { batchLoss } from "../src/search/batch-loss.ts";
import { concreteSample, straightThrough } from "../src/search/concrete.ts";
import { createDarts } from "../src/search/darts.ts";
import type { SearchMethod } from "../src/search/method.ts";
import { Network } from "../src/space/network.ts";
import { partialEdges } from "../src/space/partial-channels.ts";
import { DARTS_PRIMITIVES } from "../src/space/primitives.ts";
import { type CellMixture, type Mixture, Supernet, type SupernetOptions } from "../src/space/supernet.ts";
import { aten } from "../src/tensor/aten.ts";
import { grad, noGrad } from "../src/tensor/autograd.ts";
import { scope } from "../src/tensor/scope.ts";
import { cat, Parameter, randn, type Tensor, tensor } from "../src/tensor/tensor.ts";
import { methodStep } from "./method-steps.ts";
import { publishedBatch, type Size, type WorkName } from "./work-names.ts";

/** One step; returns a number that depends on all of it. Tensors that it makes are its caller's to free. */
export type Step = () => number;

const DEVICE = "cpu";
const IMAGE = [3, 32, 32] as const;
const IMAGE_VALUES = 3 * 32 * 32;
const GRAD_CLIP = 5;
/** Half-way through a training with the published 0.2. */
const DROP_PATH = 0.1;
const AUXILIARY_WEIGHT = 0.4;
/** K of PC-DARTS on CIFAR-10. */
const SHARE = 4;
/** Edges of a cell of four nodes, and those into each of them. */
const EDGES = 14;
const EDGES_INTO = [2, 3, 4, 5];
/** GDAS' temperature at the beginning of its search. */
const TEMPERATURE = 10;
const WEIGHT_OPTIMIZER = { learningRate: 0.025, momentum: 0.9, weightDecay: 3e-4 };
const ARCH_OPTIMIZER = { learningRate: 3e-4, betas: [0.5, 0.999], weightDecay: 1e-3 } as const;

/** Builds a work: the published sizes where `size` says nothing. */
export const WORKS: Record<WorkName, (size: Size) => Step> = {
  "supernet-step": supernetStep,
  "first-order-step": (size) => searchStep(size, "first"),
  "second-order-step": (size) => searchStep(size, "second"),
  "pc-darts-step": pcDartsStep,
  "pc-darts-search-step": ({ batch, channels = 16, cells = 8 }) =>
    methodStep({ method: "pc-darts", order: "first", shape: 0 }, { batch, channels, cells }),
  "gdas-step": gdasStep,
  "evaluation-step": evaluationStep,
  "inference-1": (size) => inference({ batch: publishedBatch("inference-1"), ...size }),
  "inference-128": (size) => inference({ batch: publishedBatch("inference-128"), ...size }),
};

/** Forward and backward; gradients of weights and alphas. */
function supernetStep(size: Size): Step {
  const { method, supernet } = createSearch(size, "first");
  return mixedStep(supernet, size.batch ?? 64, [...method.alphas.values()], () =>
    method.mixture("weights", 0),
  );
}

/** The same where the operations see a quarter of the channels, and betas weigh the edges. */
function pcDartsStep(size: Size): Step {
  const supernet = createSupernet(size, { createEdge: partialEdges(SHARE) });
  const alphas = [
    createLogits([EDGES, DARTS_PRIMITIVES.length]),
    createLogits([EDGES, DARTS_PRIMITIVES.length]),
  ];
  const betas = [createLogits([EDGES]), createLogits([EDGES])];
  const cell = (i: number): CellMixture => ({
    operations: alphas[i]!.softmax(1),
    edges: cat(
      aten.split_with_sizes.default(betas[i]!, EDGES_INTO).map((into) => into.softmax(0)),
      0,
    ),
  });
  const batch = size.batch ?? publishedBatch("pc-darts-step");
  return mixedStep(supernet, batch, [...alphas, ...betas], () => ({ normal: cell(0), reduce: cell(1) }));
}

/** The same where each edge computes one operation, chosen by noise that takes turns: eight steps have all on every edge. */
function gdasStep(size: Size): Step {
  const supernet = createSupernet(size);
  const alphas = [
    createLogits([EDGES, DARTS_PRIMITIVES.length]),
    createLogits([EDGES, DARTS_PRIMITIVES.length]),
  ];
  let turn = 0;
  const cell = (i: number): CellMixture => {
    const chosen = Array.from(
      { length: EDGES },
      (_, edge) => (5 * edge + 3 * i + turn) % DARTS_PRIMITIVES.length,
    );
    const noise = tensor(
      chosen.flatMap((best) => DARTS_PRIMITIVES.map((_, k) => (k === best ? 5 : 0))),
      [EDGES, DARTS_PRIMITIVES.length],
    );
    const soft = concreteSample(aten.log_softmax.int(alphas[i]!, 1), noise, TEMPERATURE);
    return { operations: straightThrough(soft), active: chosen.map((best) => [best]) };
  };
  return mixedStep(supernet, size.batch ?? 64, alphas, () => {
    const mixture = { normal: cell(0), reduce: cell(1) };
    turn++;
    return mixture;
  });
}

/** Forward and backward of a supernet; gradients of its weights and of the architecture. */
function mixedStep(
  supernet: Supernet,
  batch: number,
  architecture: readonly Parameter[],
  mixture: () => Mixture,
): Step {
  const { images, labels } = fixedBatch(batch, 1);
  const inputs: Tensor[] = [...supernet.parameters(), ...architecture];
  return () => {
    const loss = crossEntropy(supernet.forward(images, mixture()), labels);
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
function evaluationStep({ batch = 96, ...size }: Size): Step {
  const network = createNetwork(size);
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

/** Logits of a batch by DARTS_V2 with running statistics, without gradients. */
function inference({ batch = 1, ...size }: Size): Step {
  const network = inferenceNetwork(size);
  const { images } = fixedBatch(batch, 1);
  return () => noGrad(() => network.forward(images, { probability: 0 }).logits.sum().item());
}

/** Logits of given images, values of [N, 3, 32, 32], by the network in `folder`. */
export function logitsOf({ folder, images }: { folder: string; images: readonly number[] }): number[] {
  return scope(() => {
    const network = inferenceNetwork({ folder });
    const size = images.length / IMAGE_VALUES;
    const batch = { images: Float32Array.from(images), labels: new Int32Array(size), size };
    const tensors = toTensors({ ...batch, shape: [size, ...IMAGE] }, DEVICE);
    return noGrad(() => network.forward(tensors.images).logits.toNumbers());
  });
}

function inferenceNetwork({ folder, ...size }: Size): Network {
  const network = createNetwork(size).eval();
  if (folder) scope(() => network.loadStateDict(loadWeights(join(folder, "network.safetensors"))));
  return network;
}

function createNetwork({ channels = 36, cells = 20 }: Size): Network {
  return new Network({
    genotype: findGenotype("DARTS_V2"),
    channels,
    cells,
    classes: 10,
    imageChannels: 3,
    imageSize: 32,
    stem: "cifar",
    auxiliary: true,
  });
}

/** Architecture parameters near zero. */
function createLogits(shape: readonly number[]): Parameter {
  return scope(() => new Parameter(randn(shape).mul(1e-3)));
}

function createSearch(size: Size, order: "first" | "second"): { method: SearchMethod; supernet: Supernet } {
  const shape = { channels: size.channels ?? 16, cells: size.cells ?? 8, imageSize: [32, 32] as const };
  const context = {
    nodes: 4,
    primitives: DARTS_PRIMITIVES,
    ...shape,
    epochs: 50,
    batchSize: 64,
    weightDecay: 3e-4,
    order,
    archFromEpoch: 0,
    device: DEVICE,
    random: createGenerator(0),
  };
  const method = createDarts(context, { softmax: "edge" });
  return { method, supernet: createSupernet(size, { createEdge: method.createEdge }) };
}

function createSupernet(
  { channels = 16, cells = 8 }: Size,
  { createEdge }: Pick<SupernetOptions, "createEdge"> = {},
): Supernet {
  return new Supernet({
    nodes: 4,
    primitives: DARTS_PRIMITIVES,
    channels,
    cells,
    stemMultiplier: 3,
    imageChannels: 3,
    classes: 10,
    createEdge,
  });
}

/** Random images of CIFAR-10's shape with unit variance, on their way into a tensor like any real batch. */
function fixedBatch(size: number, seed: number): TensorBatch {
  const generator = createGenerator(seed, "bench");
  const images = new Float32Array(size * IMAGE_VALUES).map(() => Math.sqrt(12) * (generator.uniform() - 0.5));
  const labels = new Int32Array(size).map(() => generator.int(0, 9));
  return toTensors({ images, labels, size, shape: [size, ...IMAGE] }, DEVICE);
}
