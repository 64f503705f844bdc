// What a search is put together from, by its configuration and its shape of the moment.
import type { Config } from "../config/schema.ts";
import { imagesAtOnce } from "../data/batch-tensors.ts";
import { type Batches, createBatches } from "../data/batches.ts";
import type { ImageDataset } from "../data/dataset.ts";
import type { SearchSplits } from "../data/splits.ts";
import { Adam } from "../optim/adam.ts";
import { SGD } from "../optim/sgd.ts";
import type { Generator } from "../random/generator.ts";
import { findSpace, spaceCandidates } from "../space/spaces.ts";
import { Supernet } from "../space/supernet.ts";
import type { Parameter } from "../tensor/tensor.ts";
import { withBudget } from "./budget.ts";
import type { SearchMethod } from "./method.ts";
import { createMethod } from "./methods.ts";
import type { SearchShape } from "./shape.ts";

type Images = Omit<ImageDataset, "test">;

/** The configuration's method at work, held to its budget. */
export function buildMethod(config: Config, images: Images, random: Generator): SearchMethod {
  const { search, space, device } = config;
  const { train } = images;
  const method = createMethod(search.method, search.options, {
    space: findSpace(space.name),
    nodes: space.nodes,
    primitives: space.primitives,
    candidates: spaceCandidates(space),
    epochs: search.epochs,
    order: search.order,
    archFromEpoch: search.archFromEpoch,
    device,
    channels: search.channels,
    cells: search.cells,
    batchSize: search.batchSize,
    weightDecay: search.weightDecay,
    imageSize: [train.height, train.width],
    random,
  });
  return withBudget(method, config, images);
}

/** A supernet with weights drawn from libtorch's generator. */
export function buildSupernet(
  { space, kernels, recompute, storage, device }: Config,
  { train, classes }: Images,
  { channels, cells, candidates }: SearchShape,
  { createEdge, fixedReduction }: Pick<SearchMethod, "createEdge" | "fixedReduction">,
): Supernet {
  const { nodes, primitives, stemMultiplier } = space;
  const { skeleton, poolNorm } = findSpace(space.name);
  const all = [...candidates.normal, ...candidates.reduce].every((edge) => edge.length === primitives.length);
  return new Supernet({
    channels,
    cells,
    nodes,
    primitives,
    candidates: all ? undefined : candidates,
    stemMultiplier,
    skeleton,
    poolNorm,
    imageChannels: train.channels,
    classes: classes.length,
    createEdge,
    fixedReduction,
    kernels,
    recompute,
    storage,
  }).to({ device });
}

/** The weights' optimizer. */
export function buildWeightOptimizer({ search }: Config, parameters: readonly Parameter[]): SGD {
  const { learningRate, momentum, nesterov, weightDecay } = search;
  return new SGD(parameters, { learningRate, momentum, nesterov, weightDecay });
}

/** The alphas' optimizer. */
export function buildArchOptimizer({ search }: Config, alphas: readonly Parameter[]): Adam {
  return new Adam(alphas, {
    learningRate: search.archLearningRate,
    betas: [search.archBeta1, search.archBeta2],
    weightDecay: search.archWeightDecay,
  });
}

/** The batches of the weights and of the alphas. */
export function buildBatches(
  { search, data, seed }: Config,
  { mean, std }: Images,
  { weights, architecture }: SearchSplits,
  batchSize: number,
): { readonly weights: Batches; readonly architecture: Batches } {
  const { crop, cropPadding, flip, colorJitter } = data;
  const augmentation = { crop, cropPadding, flip, colorJitter, cutout: search.cutout };
  const common = { mean, std, batchSize, seed, augmentation };
  return {
    weights: createBatches(weights, { ...common, stream: "search/weights" }),
    architecture: createBatches(architecture, { ...common, stream: "search/architecture" }),
  };
}

/** The architecture split in order and as it is. */
export function buildValidBatches(
  { search, seed }: Config,
  { mean, std }: Images,
  { architecture }: SearchSplits,
): Batches {
  return createBatches(architecture, {
    mean,
    std,
    seed,
    batchSize: imagesAtOnce(search),
    augmentation: null,
    shuffle: false,
    stream: "search/validation",
  });
}
