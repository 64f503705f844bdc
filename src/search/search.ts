// A search in progress: supernet, alphas, both optimizers and the batches, one step or one epoch at a time.
// It can be saved between any two steps and continued to the same bytes.
import type { Config } from "../config/schema.ts";
import { type Batch, type Batches, type BatchesState, createBatches } from "../data/batches.ts";
import type { ImageDataset } from "../data/dataset.ts";
import { searchSplits } from "../data/splits.ts";
import { UserError } from "../errors.ts";
import type { Genotype } from "../genotype/genotype.ts";
import { crossEntropy, topCorrect } from "../nn/loss.ts";
import { Adam } from "../optim/adam.ts";
import { cosine } from "../optim/schedule.ts";
import { SGD } from "../optim/sgd.ts";
import { Supernet } from "../space/supernet.ts";
import { noGrad } from "../tensor/autograd.ts";
import { generatorState, seed, setGeneratorState } from "../tensor/runtime.ts";
import { scope } from "../tensor/scope.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { toTensors } from "../train/batch-tensors.ts";
import type { AlphaRows, Purpose, SearchMethod, SearchStep, StepResult, TensorBatch } from "./method.ts";
import { findMethod } from "./methods.ts";
