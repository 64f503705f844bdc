// Settings that the methods' presets share: the CIFAR-10 protocol of DARTS, which most of them keep, and a search of
// minutes. A method's preset says over them what its own paper or code says otherwise.
import type { ConfigInput } from "../config/schema.ts";
import { DARTS_PRIMITIVES } from "../space/primitives.ts";

type Section<Name extends keyof ConfigInput> = NonNullable<ConfigInput[Name]>;

/** All of CIFAR-10, halved between weights and alphas, cropped and flipped. */
export const cifar10: Section<"data"> = {
  name: "cifar10",
  trainImages: null,
  testImages: null,
  weightsShare: 0.5,
  crop: "padded",
  cropPadding: 4,
  flip: true,
  colorJitter: 0,
};

/** The cell of DARTS: four nodes, eight operations. */
export const dartsSpace: Section<"space"> = {
  nodes: 4,
  primitives: [...DARTS_PRIMITIVES],
  stemMultiplier: 3,
};

/** The search of DARTS on CIFAR-10 (section 3.1 and A.1.1). */
export const dartsSearch: Section<"search"> = {
  channels: 16,
  cells: 8,
  epochs: 50,
  batchSize: 64,
  learningRate: 0.025,
  learningRateMin: 0.001,
  momentum: 0.9,
  nesterov: false,
  weightDecay: 3e-4,
  gradClip: 5,
  archLearningRate: 3e-4,
  archBeta1: 0.5,
  archBeta2: 0.999,
  archWeightDecay: 1e-3,
  archGradClip: 0,
  archFromEpoch: 0,
  cutout: 0,
};

/** The training of DARTS' derived networks on CIFAR-10 (section 3.2 and A.2.1). */
export const dartsTraining: Section<"train"> = {
  channels: 36,
  cells: 20,
  stem: "cifar",
  epochs: 600,
  batchSize: 96,
  learningRate: 0.025,
  learningRateMin: 0,
  schedule: "cosine",
  warmup: 0,
  momentum: 0.9,
  weightDecay: 3e-4,
  gradClip: 5,
  cutout: 16,
  dropPath: 0.2,
  auxiliary: true,
  auxiliaryWeight: 0.4,
  labelSmoothing: 0,
};

/** Part of CIFAR-10. */
export const quickData: Section<"data"> = { name: "cifar10", trainImages: 8000, testImages: 2000 };

/** A small search: few steps, so the alphas must move further in each to leave their start. */
export const quickSearch: Section<"search"> = {
  trainImages: 4096,
  channels: 16,
  cells: 5,
  epochs: 4,
  batchSize: 32,
  archLearningRate: 3e-3,
};

/** A short training of a small network. */
export const quickTraining: Section<"train"> = {
  channels: 8,
  cells: 5,
  epochs: 4,
  batchSize: 64,
  cutout: 0,
  dropPath: 0,
  auxiliary: false,
  randomCells: 1,
};
