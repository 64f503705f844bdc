// The one flat, typed configuration of a run. Every key is read somewhere; an unknown key is an error.
// Command-line flags are derived from these keys (`search.batchSize` → `--search-batch-size`).
import { z } from "zod";
import { DARTS_PRIMITIVES, isPrimitive } from "../space/primitives.ts";
import { isSpace } from "../space/spaces.ts";

const positive = z.number().int().min(1);
const rate = z.number().min(0);
const fraction = z.number().min(0).lt(1); // a momentum, an Adam beta or a drop probability of 1 never learns

const partOfBatch = positive
  .nullable()
  .default(null)
  .describe(
    "largest part of a mini-batch to compute at once, its gradients added up: less memory; batch norm sees, and " +
      "counts in its running statistics, each part by itself (null: the whole)",
  );

const data = z.strictObject({
  name: z.string().default("cifar10").describe("data set: cifar10, mnist, fashion-mnist, or folder"),
  path: z
    .string()
    .nullable()
    .default(null)
    .describe("folder or archive to read the data from, instead of the cache"),
  imageSize: positive
    .nullable()
    .default(null)
    .describe("side in pixels that images are resized to (folder only)"),
  imageWidth: positive
    .nullable()
    .default(null)
    .describe("width in pixels where it is not imageSize, which is then the height (folder only)"),
  channels: z
    .number()
    .int()
    .min(1)
    .max(4)
    .refine((count) => count !== 2, "expected 1 (grey), 3 (RGB) or 4 (RGB and alpha)")
    .nullable()
    .default(null)
    .describe("channels that images are read with: 1, 3 or 4; null: as the files have them (folder only)"),
  testShare: z
    .number()
    .gt(0)
    .lt(1)
    .default(0.2)
    .describe("part of each class that is tested on where there is no test/ folder (folder only)"),
  splitSeed: z
    .number()
    .int()
    .min(0)
    .default(0)
    .describe("which images testShare takes; apart from seed, so that runs share their test images"),
  trainImages: positive
    .nullable()
    .default(null)
    .describe("use only so many training images, drawn by the seed"),
  testImages: positive.nullable().default(null).describe("use only so many test images, drawn by the seed"),
  weightsShare: z
    .number()
    .gt(0)
    .lt(1)
    .default(0.5)
    .describe(
      "part of the training images that trains the weights in the search (where there is no valid/ folder)",
    ),
  crop: z
    .enum(["padded", "resized"])
    .default("padded")
    .describe("random crop of training images: of the padded image, or of 8 to 100 % of its area, resized"),
  cropPadding: z.number().int().min(0).default(4).describe("pixels of zero padding before the random crop"),
  flip: z.boolean().default(true).describe("mirror half of the training images"),
  colorJitter: z
    .number()
    .min(0)
    .max(1)
    .default(0)
    .describe("change of brightness, contrast and saturation of training images, and of hue by half of it"),
});

const space = z.strictObject({
  name: z
    .string()
    .refine(isSpace)
    .meta({ words: "spaces" })
    .default("darts")
    .describe(
      "search space: that of darts; RobustDARTS' s1 to s4 and nas-bench-201, which bring their candidates; a plugin's",
    ),
  nodes: positive.default(4).describe("intermediate nodes of a cell"),
  primitives: z
    .array(z.string().refine(isPrimitive).meta({ words: "primitives" }))
    .min(2)
    .refine((names) => new Set(names).size === names.length, "each operation may stand in the list only once")
    .default([...DARTS_PRIMITIVES])
    .describe("candidate operations"),
  stemMultiplier: positive.default(3).describe("channels of the stem in multiples of the first cell's"),
});

const search = z.strictObject({
  method: z.string().default("darts").describe("search method"),
  // Which options there are depends on the method, which declares a schema of its own: see method-settings.ts.
  options: z.record(z.string(), z.unknown()).default({}),
  order: z
    .enum(["first", "second", "joint", "alternating"])
    .default("first")
    .describe(
      "first or second order bilevel; joint or alternating one-level on all training images; " +
        "not given, a method's own: joint for snas and one-level, second for r-darts, first for all others",
    ),
  trainImages: positive
    .nullable()
    .default(null)
    .describe("use only so many of the training images in the search, drawn by the seed"),
  channels: positive.default(16).describe("channels of the first supernet cell"),
  cells: positive.default(8).describe("cells of the supernet"),
  epochs: positive.default(50).describe("epochs of the search"),
  batchSize: positive.default(64).describe("images in a mini-batch"),
  microBatch: partOfBatch,
  learningRate: rate.default(0.025).describe("first learning rate of the weights (SGD, cosine)"),
  learningRateMin: rate.default(0.001).describe("last learning rate of the weights"),
  momentum: fraction.default(0.9).describe("momentum of the weights' SGD"),
  nesterov: z
    .boolean()
    .default(false)
    .describe("let the weights' SGD look ahead along its momentum (Nesterov)"),
  weightDecay: rate.default(3e-4).describe("L2 penalty on the weights"),
  gradClip: rate.default(5).describe("largest global norm of the weights' gradient (0: no clipping)"),
  archLearningRate: rate.default(3e-4).describe("learning rate of the alphas (Adam)"),
  archBeta1: fraction.default(0.5).describe("Adam's first beta for the alphas"),
  archBeta2: fraction.default(0.999).describe("Adam's second beta for the alphas"),
  archWeightDecay: rate.default(1e-3).describe("L2 penalty on the alphas"),
  archGradClip: rate.default(0).describe("largest global norm of the alphas' gradient (0: no clipping)"),
  archFromEpoch: z.number().int().min(0).default(0).describe("first epoch that moves the alphas"),
  cutout: z.number().int().min(0).default(0).describe("side of the Cutout square in the search (0: none)"),
  select: z
    .enum(["last", "best-validation", "guard"])
    .default("last")
    .describe(
      "epoch whose cell is taken: the last, the one of best validation accuracy, or the one that an early end or the " +
        "collapse guard goes back to (the last where neither fired); not given, a method's own: guard for r-darts, best-validation for random",
    ),
});

const guard = z.strictObject({
  action: z
    .enum(["warn", "stop", "off"])
    .default("warn")
    .describe("what the collapse guard does when one of its rules fires in the search"),
  skips: positive
    .nullable()
    .default(4)
    .describe("skip connections in the normal cell from which on it is collapsing (null: not watched)"),
  entropy: z
    .number()
    .gt(0)
    .lt(1)
    .nullable()
    .default(0.05)
    .describe(
      "mean entropy of the normal alphas, as a share of the largest, below which (null: not watched)",
    ),
  eigenvalueGrowth: z
    .number()
    .gt(1)
    .nullable()
    .default(1.3)
    .describe(
      "growth of the Hessian's largest eigenvalue above which, where it is measured (null: not watched)",
    ),
  eigenvalueEvery: z
    .number()
    .int()
    .min(0)
    .default(0)
    .describe(
      "epochs from one measurement of that eigenvalue to the next (0: only where the method asks for it)",
    ),
  hessian: z
    .enum(["exact", "differences"])
    .default("exact")
    .describe(
      "products with the Hessian: exact ones on libtorch's operators, or finite differences on any kernels, which take " +
        "less memory and see the kinks of ReLU and pooling as well",
    ),
});

/** What a budget weighs in the search's loss where nothing is said. */
export const BUDGET_STRENGTH = 1;

const budget = z.strictObject({
  multiplyAdds: positive
    .nullable()
    .default(null)
    .describe("most multiply-adds, for one image, of the network that is derived (null: no limit)"),
  parameters: positive
    .nullable()
    .default(null)
    .describe("most parameters of it, without the auxiliary head (null: no limit)"),
  strength: rate
    .default(BUDGET_STRENGTH)
    .describe(
      "weight in the search's loss of the share by which the expected cost is above its limit (0: it is only told)",
    ),
});

const train = z.strictObject({
  channels: positive.default(36).describe("channels of the first cell"),
  cells: positive.default(20).describe("cells of the derived network"),
  stem: z
    .enum(["cifar", "imagenet"])
    .default("cifar")
    .describe("stem of the derived network: its space's own (cifar), or that of DARTS on ImageNet"),
  epochs: positive.default(600).describe("epochs of the training from scratch"),
  batchSize: positive.default(96).describe("images in a mini-batch"),
  microBatch: partOfBatch,
  learningRate: rate.default(0.025).describe("first learning rate (SGD)"),
  learningRateMin: rate.default(0).describe("last learning rate (cosine and linear)"),
  schedule: z
    .enum(["cosine", "linear", "exponential"])
    .default("cosine")
    .describe("how the learning rate falls from epoch to epoch"),
  decay: z.number().gt(0).max(1).default(0.97).describe("factor of each epoch's learning rate (exponential)"),
  warmup: z
    .number()
    .int()
    .min(0)
    .default(0)
    .describe("first epochs, over which the learning rate rises to its schedule in even steps"),
  momentum: fraction.default(0.9).describe("momentum of SGD"),
  nesterov: z.boolean().default(false).describe("let SGD look ahead along its momentum (Nesterov)"),
  weightDecay: rate.default(3e-4).describe("L2 penalty"),
  gradClip: rate.default(5).describe("largest global norm of the gradient (0: no clipping)"),
  cutout: z.number().int().min(0).default(16).describe("side of the Cutout square (0: none)"),
  dropPath: fraction.default(0.2).describe("drop-path probability reached at the last epoch"),
  auxiliary: z.boolean().default(true).describe("train with the auxiliary head"),
  auxiliaryWeight: rate.default(0.4).describe("weight of the auxiliary head's loss"),
  labelSmoothing: fraction.default(0).describe("label smoothing"),
  randomCells: z
    .number()
    .int()
    .min(0)
    .default(1)
    .describe("random cells trained at equal budget for comparison"),
});

/** The schema of a whole configuration. */
export const configSchema = z.strictObject({
  seed: z.number().int().min(0).default(2).describe("seed of everything random"),
  plugin: z
    .array(z.string())
    .default([])
    .describe(
      "TypeScript files that add operations, data sets, search spaces or methods; the flag is repeatable",
    ),
  device: z.string().default("cpu").describe("device that libtorch computes on: cpu, cuda:0, …"),
  memoryLimit: positive
    .nullable()
    .default(null)
    .describe("megabytes that a run may take; one that needs more is refused (null: what is free)"),
  threads: z.number().int().min(0).default(0).describe("threads to compute on (0: one for each core)"),
  deterministic: z
    .boolean()
    .default(false)
    .describe(
      "the same bytes on any number of threads: libtorch's operators on one, fused cells on all (CPU only)",
    ),
  kernels: z
    .enum(["auto", "fused", "composite"])
    .default("auto")
    .describe(
      "how cells are computed: fused CPU kernels where they fit (auto), always, or libtorch's operators",
    ),
  recompute: z
    .boolean()
    .default(false)
    .describe(
      "let fused cells keep nothing but their inputs, and compute their insides again on the way back: " +
        "less memory, more time, the same results",
    ),
  storage: z
    .enum(["fp32", "bf16"])
    .default("fp32")
    .describe(
      "what fused cells keep on the way there for the way back: fp32 values, or these rounded to bf16, which takes less memory " +
        "and time; they compute in fp32 all the same",
    ),
  checkpointSeconds: rate
    .default(60)
    .describe("seconds between two checkpoints within an epoch (0: after every step)"),
  data: data.prefault({}),
  space: space.prefault({}),
  search: search.prefault({}),
  guard: guard.prefault({}),
  budget: budget.prefault({}),
  train: train.prefault({}),
});

/** A whole, checked configuration: what a run was started with, every default filled in. */
export type Config = z.infer<typeof configSchema>;

/** A partial configuration, as a preset or a file gives it. */
export type ConfigInput = z.input<typeof configSchema>;
