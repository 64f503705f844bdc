// Training of a derived network from scratch (DARTS, section 3.2): SGD with momentum and a cosine schedule,
// Cutout, drop-path that grows with the epochs, the auxiliary head's loss, clipping. One step at a time, and it
// can be saved between any two steps.
import type { Config } from "../config/schema.ts";
import { toTensors } from "../data/batch-tensors.ts";
import { type Batches, type BatchesState, createBatches } from "../data/batches.ts";
import type { ImageDataset } from "../data/dataset.ts";
import { trainingSplit } from "../data/splits.ts";
import { UserError } from "../errors.ts";
import type { Genotype } from "../genotype/genotype.ts";
import { crossEntropy, topCorrect } from "../nn/loss.ts";
import { addStep, emptyTotals, type Totals } from "../nn/totals.ts";
import { clipGradNorm } from "../optim/clip.ts";
import { cosine, linear } from "../optim/schedule.ts";
import { SGD } from "../optim/sgd.ts";
import { addGenerator, addTensors, part, restoreGenerator, type Snapshot } from "../optim/snapshot.ts";
import { Network } from "../space/network.ts";
import { grad } from "../tensor/autograd.ts";
import { seed } from "../tensor/runtime.ts";
import { scope } from "../tensor/scope.ts";
import type { Tensor } from "../tensor/tensor.ts";

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
  { train, device, kernels }: Pick<Config, "train" | "device" | "kernels">,
  { classes, train: images }: Pick<ImageDataset, "classes" | "train">,
): Network {
  return new Network({
    genotype,
    channels: train.channels,
    cells: train.cells,
    classes: classes.length,
    imageChannels: images.channels,
    imageSize: images.height,
    stem: train.stem,
    auxiliary: train.auxiliary,
    kernels,
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

  constructor(config: Config, genotype: Genotype, dataset: Omit<ImageDataset, "test">) {
    this.#config = config;
    const { train, data, device } = config;
    const { cropPadding, flip } = data;
    this.#batches = createBatches(trainingSplit(dataset), {
      mean: dataset.mean,
      std: dataset.std,
      batchSize: train.batchSize,
      augmentation: { cropPadding, flip, cutout: train.cutout },
      seed: config.seed,
      stream: "train",
    });
    this.stepsPerEpoch = this.#batches.batchesPerEpoch;
    seed(config.seed);
    this.network = createNetwork(genotype, config, dataset);
    seed(config.seed, device);
    const { learningRate, momentum, weightDecay } = train;
    this.#optimizer = new SGD(this.network.parameters(), { learningRate, momentum, weightDecay });
  }

  get finished(): boolean {
    return this.epoch >= this.#config.train.epochs;
  }

  get learningRate(): number {
    const { learningRate, learningRateMin, epochs } = this.#config.train;
    return cosine(learningRate, learningRateMin, epochs, this.epoch);
  }

  /** Probability that a path is dropped in the present epoch: from 0 towards `train.dropPath`. */
  get dropPathProbability(): number {
    const { dropPath, epochs } = this.#config.train;
    return linear(0, dropPath, epochs, this.epoch);
  }

  /** Makes one step; returns the loss of the main head. Throws a {@link UserError} when it is not finite. */
  runStep(): number {
    if (this.step === 0) this.totals = emptyTotals();
    this.#optimizer.learningRate = this.learningRate;
    const loss = scope(() => this.#step());
    if (!Number.isFinite(loss)) {
      throw new UserError(
        `The training diverged: the loss or its gradient is ${loss} at step ${this.step + 1} of epoch ${this.epoch + 1}, ` +
          "expected a finite number. Lower train.learningRate; checkpoints of earlier epochs are kept.",
      );
    }
    this.step++;
    return loss;
  }

  #step(): number {
    const { train, device } = this.#config;
    const { images, labels, size } = toTensors(this.#batches.next(), device);
    const { labelSmoothing } = train;
    const { logits, auxiliary } = this.network.forward(images, { probability: this.dropPathProbability });
    const loss = crossEntropy(logits, labels, { labelSmoothing });
    const objective = auxiliary
      ? loss.add(crossEntropy(auxiliary, labels, { labelSmoothing }).mul(train.auxiliaryWeight))
      : loss;
    const gradients = grad([objective], this.#optimizer.parameters);
    // Before the weights are touched: a gradient that is not finite would spoil them for good.
    if (!Number.isFinite(clipGradNorm(gradients, train.gradClip))) return Number.NaN;
    this.#optimizer.step(gradients);
    const value = loss.item();
    addStep(this.totals, value, topCorrect(logits, labels, 1), size);
    return value;
  }

  /** Closes the epoch. */
  endEpoch(): void {
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
