// Training of a derived network from scratch (DARTS, section 3.2): SGD with momentum and a cosine schedule,
// Cutout, drop-path that grows with the epochs, the auxiliary head's loss, clipping. One step at a time, and it
// can be saved between any two steps.
import type { Config } from "../config/schema.ts";
import { toTensors } from "../data/batch-tensors.ts";
import { type Batches, type BatchesState, createBatches } from "../data/batches.ts";
import type { ImageDataset } from "../data/dataset.ts";
import { trainingSplit } from "../data/splits.ts";
import type { Genotype } from "../genotype/genotype.ts";
import {
  countNotFinite,
  Divergence,
  firstNotFinite,
  gradientName,
  labelled,
  type Named,
} from "../nn/divergence.ts";
import { addStep, emptyTotals, type Totals } from "../nn/totals.ts";
import { clipGradNorm } from "../optim/clip.ts";
import { linear } from "../optim/schedule.ts";
import { SGD } from "../optim/sgd.ts";
import { addGenerator, addTensors, part, restoreGenerator, type Snapshot } from "../optim/snapshot.ts";
import { Network } from "../space/network.ts";
import { seed } from "../tensor/runtime.ts";
import { scope } from "../tensor/scope.ts";
import type { Parameter, Tensor } from "../tensor/tensor.ts";
import { learningRateAt } from "./learning-rate.ts";
import { objectiveGradient } from "./objective.ts";

interface TrainingState {
  readonly epoch: number;
  readonly step: number;
  readonly totals: Totals;
  readonly batches: BatchesState;
  readonly optimizerSteps: number[];
}

/** The network that a configuration and a data set ask for, untrained. Draws from libtorch's generator. */
export function createNetwork(
  genotype: Genotype,
  {
    train,
    device,
    kernels,
    recompute,
    storage,
  }: Pick<Config, "train" | "device" | "kernels" | "recompute" | "storage">,
  { classes, train: images }: Pick<ImageDataset, "classes" | "train">,
): Network {
  return new Network({
    genotype,
    channels: train.channels,
    cells: train.cells,
    classes: classes.length,
    imageChannels: images.channels,
    imageSize: [images.height, images.width],
    stem: train.stem,
    auxiliary: train.auxiliary,
    kernels,
    recompute,
    storage,
  }).to({ device });
}

/** A training in progress. Owns its tensors: call `dispose` at the end. */
export class Training {
  readonly network: Network;
  /** Finished epochs. */
  epoch = 0;
  /** Finished steps of the present epoch. */
  step = 0;
  totals: Totals = emptyTotals();
  readonly stepsPerEpoch: number;
  readonly #config: Config;
  readonly #batches: Batches;
  readonly #optimizer: SGD;
  /** In a step that diverged: the parameter with the first gradient that is not finite. */
  #spoiled: Parameter | undefined;

  constructor(config: Config, genotype: Genotype, dataset: Omit<ImageDataset, "test">) {
    this.#config = config;
    const { train, data, device } = config;
    const { crop, cropPadding, flip, colorJitter } = data;
    this.#batches = createBatches(trainingSplit(dataset), {
      mean: dataset.mean,
      std: dataset.std,
      batchSize: train.batchSize,
      augmentation: { crop, cropPadding, flip, colorJitter, cutout: train.cutout },
      seed: config.seed,
      stream: "train",
    });
    this.stepsPerEpoch = this.#batches.batchesPerEpoch;
    seed(config.seed);
    this.network = createNetwork(genotype, config, dataset);
    seed(config.seed, device);
    const { learningRate, momentum, nesterov, weightDecay } = train;
    this.#optimizer = new SGD(this.network.parameters(), { learningRate, momentum, nesterov, weightDecay });
  }

  get finished(): boolean {
    return this.epoch >= this.#config.train.epochs;
  }

  get learningRate(): number {
    return learningRateAt(this.#config.train, this.epoch);
  }

  /** Probability that a path is dropped in the present epoch: from 0 towards `train.dropPath`. */
  get dropPathProbability(): number {
    const { dropPath, epochs } = this.#config.train;
    return linear(0, dropPath, epochs, this.epoch);
  }

  /** Makes one step; returns the loss of the main head. Throws a {@link Divergence} when it is not finite. */
  runStep(): number {
    if (this.step === 0) this.totals = emptyTotals();
    this.#optimizer.learningRate = this.learningRate;
    const loss = scope(() => this.#step());
    if (!Number.isFinite(loss)) throw this.#diverged(`the loss or its gradient is ${loss}`, this.step);
    this.step++;
    return loss;
  }

  #step(): number {
    const { train, device } = this.#config;
    const batch = toTensors(this.#batches.next(), device);
    const { loss, correct, gradients } = objectiveGradient(this.network, batch, this.#optimizer.parameters, {
      ...train,
      dropPath: this.dropPathProbability,
    });
    // Before the weights are touched: a gradient that is not finite would spoil them for good.
    if (!Number.isFinite(clipGradNorm(gradients, train.gradClip))) {
      const at = gradients.findIndex((gradient) => gradient && countNotFinite(gradient) > 0);
      this.#spoiled = this.#optimizer.parameters[at];
      return Number.NaN;
    }
    this.#optimizer.step(gradients);
    addStep(this.totals, loss, correct, batch.size);
    return loss;
  }

  *#learned(): Named {
    yield* labelled("the weight", this.network.namedParameters());
    yield* labelled("the buffer", this.network.namedBuffers());
  }

  #diverged(what: string, step: number | null): Divergence {
    const { epoch } = this;
    const first =
      firstNotFinite(this.#learned()) ?? gradientName(this.network.namedParameters(), this.#spoiled);
    const where =
      step === null ? `at the end of epoch ${epoch + 1}` : `at step ${step + 1} of epoch ${epoch + 1}`;
    return new Divergence(
      `The training diverged: ${what} ${where}, expected finite numbers. First to go bad: ${first}. ` +
        "Lower train.learningRate; checkpoints of earlier epochs are kept.",
      { phase: "training", epoch, step, first },
    );
  }

  /** Closes the epoch. Throws a {@link Divergence} when a weight is no finite number: no checkpoint shall hold it. */
  endEpoch(): void {
    const bad = firstNotFinite(this.#learned());
    if (bad !== undefined) throw this.#diverged("what the epoch learned is not finite", null);
    this.epoch++;
    this.step = 0;
  }

  /** Everything that the next step depends on. The tensors are the live ones: write them before going on. */
  snapshot(): Snapshot {
    const tensors = new Map<string, Tensor>();
    addTensors(tensors, "weights/", this.network.stateDict());
    addTensors(tensors, "optimizer/", this.#optimizer.tensors());
    addGenerator(tensors, this.#config.device);
    const state: TrainingState = {
      epoch: this.epoch,
      step: this.step,
      totals: { ...this.totals },
      batches: this.#batches.state(),
      optimizerSteps: this.#optimizer.steps(),
    };
    return { tensors, state };
  }

  /** Continues from a snapshot of a training with the same configuration, genotype and data. */
  restore({ tensors, state }: Snapshot): void {
    const saved = state as TrainingState;
    this.network.loadStateDict(part(tensors, "weights/"));
    this.#optimizer.restore(part(tensors, "optimizer/"), saved.optimizerSteps);
    this.#batches.restore(saved.batches);
    restoreGenerator(tensors, this.#config.device);
    this.epoch = saved.epoch;
    this.step = saved.step;
    this.totals = { ...saved.totals };
  }

  dispose(): void {
    this.network.dispose();
    this.#optimizer.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
