// The library's entry: what a program that searches, derives or trains needs. Nothing here loads libtorch
// until a tensor is made.

export { resolveConfig } from "./config/load.ts";
export { PRESETS } from "./config/presets.ts";
export type { Config } from "./config/schema.ts";
export type { ImageDataset, ImageSet } from "./data/dataset.ts";
export { DATASETS, loadDataset } from "./data/datasets.ts";
export { UserError } from "./errors.ts";
export { countNetwork, countSupernet } from "./genotype/counts.ts";
export { DISCRETIZATION_RULES, deriveGenotype } from "./genotype/discretize.ts";
export { drawCellSvg, drawCellText } from "./genotype/draw.ts";
export type { Edge, Genotype } from "./genotype/genotype.ts";
export { formatJson, formatPython, parseGenotype } from "./genotype/parse.ts";
export { findGenotype, PUBLISHED_GENOTYPES } from "./genotype/published.ts";
export { randomGenotype } from "./genotype/random.ts";
export { cosine, exponential, linear } from "./optim/schedule.ts";
export { createGenerator, type Generator } from "./random/generator.ts";
export { loadCheckpoint, loadWeights, saveCheckpoint, saveWeights } from "./run/checkpoint.ts";
export { concreteLogDensity, concreteSample, gumbelNoise, straightThrough } from "./search/concrete.ts";
export type { MethodContext, MethodEntry, SearchMethod, SearchStep } from "./search/method.ts";
export { METHODS } from "./search/methods.ts";
export { Search } from "./search/search.ts";
export { type BilevelProblem, unrolledGradient, type VirtualStep } from "./search/unrolled.ts";
export { Network, type NetworkOptions } from "./space/network.ts";
export { OPERATIONS } from "./space/operations.ts";
export { DARTS_PRIMITIVES, PRIMITIVES, type Primitive } from "./space/primitives.ts";
export { type Mixture, Supernet, type SupernetOptions } from "./space/supernet.ts";
export { aten } from "./tensor/aten.ts";
export { backward, grad, noGrad } from "./tensor/autograd.ts";
export { checkDevice, devices, liveTensors, seed, setThreads, torchVersion } from "./tensor/runtime.ts";
export { keep, scope } from "./tensor/scope.ts";
export { fromBytes, Parameter, Tensor, tensor } from "./tensor/tensor.ts";
export { evaluate } from "./train/evaluate.ts";
export { Training } from "./train/training.ts";
