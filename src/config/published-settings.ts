// The settings of the DARTS paper and of its released code, each value with where it stands. Facts only; a value that
// the paper does not give is the code's, and its source says so.
// Paper: Liu, Simonyan, Yang, ICLR 2019 (arXiv:1806.09055), appendix A.1.1 (search), A.2.1 (CIFAR-10), A.3 (ImageNet).
// Code: the scripts train_search.py, train.py and train_imagenet.py, by the names of their arguments.

import { DARTS_PRIMITIVES } from "../space/primitives.ts";
import type { ConfigInput } from "./schema.ts";

/** A value and where it comes from. */
export type Sourced = readonly [value: unknown, source: string];

/** Values by dotted key. */
export type SourcedSettings = Readonly<Record<string, Sourced>>;

/** The values alone, in their sections. */
export function settingsOf(sourced: SourcedSettings): ConfigInput {
  const settings: Record<string, unknown> = {};
  for (const [path, [value]] of Object.entries(sourced)) {
    const [first, second] = path.split(".") as [string, string?];
    if (second === undefined) settings[first] = value;
    else settings[first] = { ...(settings[first] as object), [second]: value };
  }
  return settings as ConfigInput;
}

const SEARCH = "paper, A.1.1";
const EVALUATION = "paper, A.2.1";
const IMAGENET = "paper, A.3";
const silent = (argument: string) => `code, ${argument}; the paper does not say`;

/** Search and evaluation on CIFAR-10 by the paper. */
export const PAPER: SourcedSettings = {
  seed: [2, silent("train_search.py --seed (train.py: 0)")],
  "data.name": ["cifar10", SEARCH],
  "data.trainImages": [null, "paper, 3.1: all of them"],
  "data.testImages": [null, "paper, 3.1: all of them"],
  "data.weightsShare": [0.5, SEARCH],
  "data.crop": ["padded", silent("utils.py, RandomCrop")],
  "data.cropPadding": [4, silent("utils.py, RandomCrop")],
  "data.flip": [true, silent("utils.py, RandomHorizontalFlip")],
  "data.colorJitter": [0, "neither has any on CIFAR-10"],
  "space.name": ["darts", "paper, 3.1"],
  "space.nodes": [4, "paper, 3.1"],
  "space.primitives": [[...DARTS_PRIMITIVES], "paper, 3.1; their order: code, genotypes.py"],
  "space.stemMultiplier": [3, silent("model_search.py, stem_multiplier")],
  "search.method": ["darts", "paper, algorithm 1"],
  "search.order": ["first", "paper, 2.3; code without --unrolled. The paper has both: second is its best"],
  "search.channels": [16, SEARCH],
  "search.cells": [8, SEARCH],
  "search.epochs": [50, SEARCH],
  "search.batchSize": [64, SEARCH],
  "search.microBatch": [null, "neither has micro-batches"],
  "search.learningRate": [0.025, SEARCH],
  "search.learningRateMin": [0, `${SEARCH}: annealed down to zero`],
  "search.momentum": [0.9, SEARCH],
  "search.nesterov": [false, silent("train_search.py, torch.optim.SGD")],
  "search.weightDecay": [3e-4, SEARCH],
  "search.gradClip": [5, silent("train_search.py --grad_clip")],
  "search.archLearningRate": [3e-4, SEARCH],
  "search.archBeta1": [0.5, SEARCH],
  "search.archBeta2": [0.999, SEARCH],
  "search.archWeightDecay": [1e-3, SEARCH],
  "search.archGradClip": [0, silent("architect.py, no clipping")],
  "search.archFromEpoch": [0, "paper, algorithm 1: no warm-up"],
  "search.select": ["last", "paper, algorithm 1"],
  "search.cutout": [0, silent("train_search.py, off without --cutout")],
  "train.channels": [36, EVALUATION],
  "train.cells": [20, EVALUATION],
  "train.stem": ["cifar", silent("model.py, NetworkCIFAR")],
  "train.epochs": [600, EVALUATION],
  "train.batchSize": [96, EVALUATION],
  "train.microBatch": [null, "neither has micro-batches"],
  "train.learningRate": [0.025, `${EVALUATION}: as in the search`],
  "train.learningRateMin": [0, `${EVALUATION}: as in the search`],
  "train.schedule": ["cosine", `${EVALUATION}: as in the search`],
  "train.warmup": [0, "neither has a warm-up"],
  "train.momentum": [0.9, `${EVALUATION}: as in the search`],
  "train.nesterov": [false, silent("train.py, torch.optim.SGD")],
  "train.weightDecay": [3e-4, `${EVALUATION}: as in the search`],
  "train.gradClip": [5, silent("train.py --grad_clip")],
  "train.cutout": [16, `${EVALUATION}: Cutout; its side: code, train.py --cutout_length`],
  "train.dropPath": [0.2, EVALUATION],
  "train.auxiliary": [true, EVALUATION],
  "train.auxiliaryWeight": [0.4, EVALUATION],
  "train.labelSmoothing": [0, silent("train.py, CrossEntropyLoss")],
};

/** The same by the released code, where it differs. */
export const CODE: SourcedSettings = {
  ...PAPER,
  "search.learningRateMin": [0.001, "code, train_search.py --learning_rate_min (paper: zero)"],
};

/** Evaluation on ImageNet, mobile setting. Images are those of a folder. */
export const IMAGENET_TRANSFER: SourcedSettings = {
  "data.name": ["folder", "the images of ImageNet are yours to bring: set data.path"],
  "data.imageSize": [224, IMAGENET],
  "data.crop": ["resized", silent("train_imagenet.py, RandomResizedCrop")],
  "data.cropPadding": [0, "code, train_imagenet.py: not used with resized crops"],
  "data.flip": [true, silent("train_imagenet.py, RandomHorizontalFlip")],
  "data.colorJitter": [0.4, silent("train_imagenet.py, ColorJitter(0.4, 0.4, 0.4, 0.2)")],
  "train.channels": [48, silent("train_imagenet.py --init_channels")],
  "train.cells": [14, IMAGENET],
  "train.stem": ["imagenet", silent("model.py, NetworkImageNet")],
  "train.epochs": [250, IMAGENET],
  "train.batchSize": [128, IMAGENET],
  "train.learningRate": [0.1, IMAGENET],
  "train.schedule": ["exponential", IMAGENET],
  "train.decay": [0.97, IMAGENET],
  "train.warmup": [0, "neither has a warm-up"],
  "train.momentum": [0.9, silent("train_imagenet.py --momentum")],
  "train.nesterov": [false, silent("train_imagenet.py, torch.optim.SGD")],
  "train.weightDecay": [3e-5, IMAGENET],
  "train.gradClip": [5, silent("train_imagenet.py --grad_clip")],
  "train.cutout": [0, silent("train_imagenet.py, none")],
  "train.dropPath": [0, silent("train_imagenet.py --drop_path_prob")],
  "train.auxiliary": [true, silent("README, --auxiliary")],
  "train.auxiliaryWeight": [0.4, silent("train_imagenet.py --auxiliary_weight")],
  "train.labelSmoothing": [0.1, silent("train_imagenet.py --label_smooth")],
};

const PC_DARTS = "PC-DARTS (Xu et al., ICLR 2020), released code";

const { "train.decay": _, ...SCHEDULE_APART } = IMAGENET_TRANSFER;

/** Evaluation on ImageNet as PC-DARTS does it: large batches, a line for the learning rate. */
export const IMAGENET_PC_DARTS: SourcedSettings = {
  ...SCHEDULE_APART,
  "train.batchSize": [1024, PC_DARTS],
  "train.learningRate": [0.5, PC_DARTS],
  "train.schedule": ["linear", `${PC_DARTS}: a line; the last five epochs of the code bend from it`],
  "train.warmup": [5, `${PC_DARTS}, for batches above 256`],
  "train.weightDecay": [3e-5, PC_DARTS],
};
