// The library's entry: all that the command line does, as typed functions, and the parts of it for programs of one's
// own. Nothing here loads libtorch until a tensor is made.

export { type Check, runChecks } from "./check/checks.ts";
export type { Grouped, RandomCells, RunGroup } from "./compare/groups.ts";
export type { RunRow, SearchCost, TrainedCell } from "./compare/run-row.ts";
export type { SettingDifference } from "./compare/settings.ts";
export type { Difference, Sample } from "./compare/statistics.ts";
export { comparisonText } from "./compare/text.ts";
export { diffConfigs, formatConfig } from "./config/format.ts";
export { type ConfigSources, resolveConfig } from "./config/load.ts";
export { PRESETS, type Preset } from "./config/presets.ts";
export type { Config, ConfigInput } from "./config/schema.ts";
export { type DataSummary, summarize } from "./data/class-counts.ts";
export type { ImageDataset, ImageSet } from "./data/dataset.ts";
export { DATASETS, loadDataset } from "./data/datasets.ts";
export type { DataOptions, DatasetEntry, ImageFormat } from "./data/entry.ts";
export { loadImageFolder } from "./data/image-folder.ts";
export { channelStatistics } from "./data/statistics.ts";
export { UserError } from "./errors.ts";
export {
  type Cost,
  countNetwork,
  countSupernet,
  type ImageSize,
  type NetworkCost,
  type NetworkShape,
  type SupernetCost,
  type SupernetShape,
} from "./genotype/counts.ts";
export { DISCRETIZATION_RULES, deriveGenotype } from "./genotype/discretize.ts";
export { cellsOf, type DrawnCell, drawCellSvg, drawCellText } from "./genotype/draw.ts";
export { type AlphaEpoch, drawAlphasSvg } from "./genotype/draw-alphas.ts";
export type { Edge, Genotype } from "./genotype/genotype.ts";
export { formatGenotype, formatJson, formatPython, parseGenotype } from "./genotype/parse.ts";
export { findGenotype, PUBLISHED_GENOTYPES } from "./genotype/published.ts";
export { randomGenotype } from "./genotype/random.ts";
export { type Comparison, compareRuns } from "./library/compare-runs.ts";
export { type Inspection, inspectImages } from "./library/inspect-images.ts";
export {
  completeConfig,
  configOf,
  derive,
  type JobOptions,
  resume,
  run,
  type SearchReport,
  search,
  type TestOptions,
  test,
  train,
} from "./library/jobs.ts";
export { suggestConfig } from "./library/suggest-config.ts";
export type { MethodDeclaration, MethodPreset, Order } from "./methods/declaration.ts";
export { type Diagnosis, diagnose } from "./native/doctor.ts";
export { AvgPool2d, BatchNorm2d, Conv2d, globalAveragePool, Linear, MaxPool2d, ReLU } from "./nn/layers.ts";
export { crossEntropy } from "./nn/loss.ts";
export { Identity, Layer, Module, Sequential } from "./nn/module.ts";
export { Adam } from "./optim/adam.ts";
export { cosine, exponential, linear } from "./optim/schedule.ts";
export { SGD } from "./optim/sgd.ts";
export { loadConfig } from "./plugin/config.ts";
export {
  type BlockDefinition,
  type DatasetDefinition,
  type Definition,
  defineDataset,
  defineMethod,
  defineOperation,
  defineSpace,
  type LoadedImages,
  type MethodDefinition,
  type OperationDefinition,
  type SpaceDefinition,
  type StemDefinition,
  schema,
} from "./plugin/define.ts";
export { loadPlugins } from "./plugin/load.ts";
export { register } from "./plugin/register.ts";
export { createGenerator, type Generator } from "./random/generator.ts";
export { loadCheckpoint, loadWeights, saveCheckpoint, saveWeights } from "./run/checkpoint.ts";
export type { LoggedEvent, RunEvent } from "./run/events.ts";
export { readEvents } from "./run/events.ts";
export { readGenotypeSource } from "./run/genotype-source.ts";
export { Interruption } from "./run/interruption.ts";
export type { Progress, Reporter } from "./run/job.ts";
export type { SearchOutcome, TrainOutcome } from "./run/outcomes.ts";
export { type RunReport, reportText } from "./run/report.ts";
export { createAlphas, deriveIn, mixtureOf, named, rowsOf, softmaxMixture } from "./search/alphas.ts";
export { firstOrderStep, jointStep, secondOrderStep, weightStep } from "./search/bilevel.ts";
export { concreteLogDensity, concreteSample, gumbelNoise, straightThrough } from "./search/concrete.ts";
export { createDarts, dartsStep } from "./search/darts.ts";
export type {
  AlphaRows,
  EdgeLogits,
  MethodContext,
  MethodMixture,
  Purpose,
  SearchMethod,
  SearchStep,
  StepResult,
} from "./search/method.ts";
export { createMethod, registerMethod } from "./search/methods.ts";
export { Search, type Validation } from "./search/search.ts";
export { toyTrajectory } from "./search/toy.ts";
export { type BilevelProblem, unrolledGradient, type VirtualStep } from "./search/unrolled.ts";
export type { EdgePlace, SearchSpace, SpaceDeclaration } from "./space/declare-space.ts";
export { type EdgeContext, EdgeModule, MixedOp } from "./space/mixed-op.ts";
export { Network, type NetworkOptions } from "./space/network.ts";
export { FactorizedReduce, OPERATIONS, type OperationBuilder, ReLUConvBN } from "./space/operations.ts";
export { DARTS_PRIMITIVES, type EdgeShape, PRIMITIVES, type Primitive } from "./space/primitives.ts";
export { type CellMixture, type Mixture, Supernet, type SupernetOptions } from "./space/supernet.ts";
export { aten } from "./tensor/aten.ts";
export { backward, grad, noGrad } from "./tensor/autograd.ts";
export { checkDevice, devices, liveTensors, seed, setThreads, torchVersion } from "./tensor/runtime.ts";
export { keep, scope } from "./tensor/scope.ts";
export {
  cat,
  type DType,
  fromBytes,
  full,
  ones,
  Parameter,
  randn,
  Tensor,
  tensor,
  zeros,
} from "./tensor/tensor.ts";
export { type Evaluation, evaluate } from "./train/evaluate.ts";
export { Training } from "./train/training.ts";
