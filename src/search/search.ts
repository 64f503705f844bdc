// A search in progress: supernet, alphas, both optimizers and the batches, moved one step at a time.
// It can be saved between any two steps and continued to the same bytes.
import type { Config } from "../config/schema.ts";
import { imagesAtOnce, toTensors } from "../data/batch-tensors.ts";
import { type Batch, type Batches, type BatchesState, createBatches } from "../data/batches.ts";
import type { ImageDataset } from "../data/dataset.ts";
import { type SearchSplits, searchSplits, subset } from "../data/splits.ts";
import { Divergence, firstNotFinite, gradientName, labelled, type Named } from "../nn/divergence.ts";
import { crossEntropy, topCorrect } from "../nn/loss.ts";
import { addStep, emptyTotals, type Totals } from "../nn/totals.ts";
import { Adam } from "../optim/adam.ts";
import { cosine } from "../optim/schedule.ts";
import { SGD } from "../optim/sgd.ts";
import { addGenerator, addTensors, part, restoreGenerator, type Snapshot } from "../optim/snapshot.ts";
import { createGenerator, type GeneratorState, type Generator as RandomStream } from "../random/generator.ts";
import { releaseKernelMemory } from "../space/fused-cell.ts";
import { Supernet } from "../space/supernet.ts";
import { noGrad } from "../tensor/autograd.ts";
import { generatorState, seed, setGeneratorState } from "../tensor/runtime.ts";
import { scope } from "../tensor/scope.ts";
import type { Parameter, Tensor } from "../tensor/tensor.ts";
import { AlphaActivity } from "./alpha-activity.ts";
import { batchLoss, type LossContext } from "./batch-loss.ts";
import type { SearchMethod, StepResult } from "./method.ts";
import { createMethod } from "./methods.ts";

/** What {@link Search.validate} found: on images that the weights never saw, with running statistics. */
export interface Validation {
  readonly loss: number;
  /** Top-1, 0…1. */
  readonly accuracy: number;
}

/** Where a search stands, as plain JSON; the tensors are beside it in the {@link Snapshot}. */
interface SearchState {
  readonly epoch: number;
  readonly step: number;
  /** Whether the method's rule ended it early. */
  readonly stopped: boolean;
  readonly totals: Totals;
  readonly weightBatches: BatchesState;
  readonly archBatches: BatchesState;
  readonly weightSteps: number[];
  readonly archSteps: number[];
  readonly random: GeneratorState;
  readonly method: unknown;
}

/**
 * The images of a search: those that train the weights and those that move the alphas (one-level: all for both).
 * Throws a UserError when there are not enough.
 */
export function splitsFor(config: Config, { train }: Pick<ImageDataset, "train">): SearchSplits {
  const { seed, search, data } = config;
  const images =
    search.trainImages === null
      ? train
      : subset(train, search.trainImages, createGenerator(seed, "search/images"));
  const { weightsShare } = data;
  return searchSplits({ train: images }, { seed, weightsShare, oneLevel: isOneLevel(config) });
}

function isOneLevel({ search }: Config): boolean {
  return search.order === "joint" || search.order === "alternating";
}

/** A search of one configuration on one data set. Owns its tensors: call `dispose` at the end. */
export class Search {
  readonly method: SearchMethod;
  readonly supernet: Supernet;
  /** Finished epochs. */
  epoch = 0;
  /** Finished steps of the present epoch. */
  step = 0;
  /** Sums over the steps of the present epoch. */
  totals: Totals = emptyTotals();
  readonly stepsPerEpoch: number;
  #stopped = false;
  /** Alphas whose gradient was exactly zero in every step of the last finished epoch. */
  deadAlphas: readonly string[] = [];
  readonly #config: Config;
  readonly #weightBatches: Batches;
  readonly #archBatches: Batches;
  /** The architecture split again, in order and as it is; absent when there is none apart (one-level). */
  readonly #validBatches: Batches | undefined;
  /** Listed once: finding them walks some thousand layers. */
  readonly #buffers: readonly Tensor[];
  /** What the method draws from. */
  readonly #random: RandomStream;
  readonly #weightOptimizer: SGD;
  readonly #archOptimizer: Adam;
  readonly #alphaActivity: AlphaActivity;
  readonly #lossContext: Omit<LossContext, "epoch">;

  constructor(config: Config, dataset: Omit<ImageDataset, "test">) {
    this.#config = config;
    const { search, space, data, device } = config;
    const splits = splitsFor(config, dataset);
    const { mean, std } = dataset;
    const { crop, cropPadding, flip, colorJitter } = data;
    const common = { mean, std, batchSize: search.batchSize, seed: config.seed };
    const augmentation = { crop, cropPadding, flip, colorJitter, cutout: search.cutout };
    this.#weightBatches = createBatches(splits.weights, {
      ...common,
      augmentation,
      stream: "search/weights",
    });
    this.#archBatches = createBatches(splits.architecture, {
      ...common,
      augmentation,
      stream: "search/architecture",
    });
    this.#validBatches = isOneLevel(config)
      ? undefined
      : createBatches(splits.architecture, {
          ...common,
          batchSize: imagesAtOnce(search),
          augmentation: null,
          shuffle: false,
          stream: "search/validation",
        });
    this.stepsPerEpoch = this.#weightBatches.batchesPerEpoch;

    seed(config.seed);
    this.#random = createGenerator(config.seed, "search/method");
    this.method = createMethod(search.method, search.options, {
      nodes: space.nodes,
      primitives: space.primitives,
      epochs: search.epochs,
      order: search.order,
      archFromEpoch: search.archFromEpoch,
      device,
      channels: search.channels,
      cells: search.cells,
      imageSize: [dataset.train.height, dataset.train.width],
      random: this.#random,
    });
    this.supernet = new Supernet({
      channels: search.channels,
      cells: search.cells,
      nodes: space.nodes,
      primitives: space.primitives,
      stemMultiplier: space.stemMultiplier,
      imageChannels: dataset.train.channels,
      classes: dataset.classes.length,
      createEdge: this.method.createEdge,
      fixedReduction: this.method.fixedReduction,
      kernels: config.kernels,
      recompute: config.recompute,
    }).to({ device });
    this.#buffers = this.supernet.buffers();
    const { supernet, method } = this;
    this.#lossContext = { supernet, method, device, random: this.#random, microBatch: search.microBatch };
    seed(config.seed, device);
    this.#weightOptimizer = new SGD(this.supernet.parameters(), {
      learningRate: search.learningRate,
      momentum: search.momentum,
      nesterov: search.nesterov,
      weightDecay: search.weightDecay,
    });
    this.#archOptimizer = new Adam([...this.method.alphas.values()], {
      learningRate: search.archLearningRate,
      betas: [search.archBeta1, search.archBeta2],
      weightDecay: search.archWeightDecay,
    });
    this.#alphaActivity = new AlphaActivity(this.method.alphas);
    this.#archOptimizer.onStep = (gradients) => this.#alphaActivity.add(gradients);
  }

  /** Whether it is over, by its length or by the method's rule. */
  get finished(): boolean {
    return this.#stopped || this.epoch >= this.#config.search.epochs;
  }

  /** The weights' learning rate in the present epoch. */
  get learningRate(): number {
    const { learningRate, learningRateMin, epochs } = this.#config.search;
    return cosine(learningRate, learningRateMin, epochs, this.epoch);
  }

  /** Makes one step. Throws a {@link Divergence} naming the step and the first bad tensor when the loss is no finite number. */
  runStep(): StepResult {
    if (this.step === 0) {
      this.totals = emptyTotals();
      this.method.beginEpoch?.(this.epoch);
    }
    this.#weightOptimizer.learningRate = this.learningRate;
    const { device, search } = this.#config;
    const result = scope(() => {
      const trainBatch = toTensors(this.#weightBatches.next(), device);
      const step = this.method.step({
        epoch: this.epoch,
        weights: this.#weightOptimizer.parameters,
        buffers: this.#buffers,
        alphas: this.#archOptimizer.parameters,
        weightOptimizer: this.#weightOptimizer,
        archOptimizer: this.#archOptimizer,
        gradClip: search.gradClip,
        archGradClip: search.archGradClip,
        device,
        random: this.#random,
        trainBatch,
        archBatch: () => toTensors(this.#archBatches.next(), device),
        loss: (batch, purpose, seen) =>
          batchLoss({ ...this.#lossContext, epoch: this.epoch }, batch, purpose, seen),
        evaluating: (fn) => this.supernet.evaluating(fn),
      });
      addStep(this.totals, step.trainLoss, step.trainCorrect, trainBatch.size);
      return step;
    });
    const bad = [result.trainLoss, result.archLoss ?? 0].find((loss) => !Number.isFinite(loss));
    if (bad !== undefined)
      throw this.#diverged(`the loss or its gradient is ${bad}`, this.step, result.spoiled);
    this.step++;
    return result;
  }

  /**
   * Loss and accuracy on the architecture split with running statistics; undefined in a one-level search.
   * Throws a {@link Divergence} when the loss is no finite number: weights that an epoch's last step spoiled.
   */
  validate(): Validation | undefined {
    const batches = this.validation();
    for (;;) {
      const { done, value } = batches.next();
      if (done) return value;
    }
  }

  /** {@link Search.validate} batch by batch: left half way, it leaves the search as it found it. */
  *validation(): Generator<void, Validation | undefined> {
    const batches = this.#validBatches;
    if (!batches) return undefined;
    const totals = emptyTotals();
    const { device } = this.#config;
    const start = { batches: batches.state(), generator: generatorState(device) };
    let whole = false;
    this.supernet.eval();
    try {
      for (const batch of batches.epoch()) {
        noGrad(() => scope(() => this.#validateBatch(batch, totals)));
        yield;
      }
      whole = true;
    } finally {
      this.supernet.train();
      if (!whole) {
        batches.restore(start.batches);
        setGeneratorState(start.generator, device);
      }
    }
    const loss = totals.loss / totals.images;
    if (!Number.isFinite(loss)) throw this.#diverged(`the loss of the validation is ${loss}`, null);
    return { loss, accuracy: totals.correct / totals.images };
  }

  #validateBatch(batch: Batch, totals: Totals): void {
    const { images, labels, size } = toTensors(batch, this.#config.device);
    const logits = this.supernet.forward(images, this.method.mixture("validation", this.epoch));
    addStep(totals, crossEntropy(logits, labels).item(), topCorrect(logits, labels, 1), size);
  }

  /**
   * Closes the epoch; returns whether the search is over, by its length or by the method's rule. Throws a
   * {@link Divergence} when a weight or an alpha is no finite number: no checkpoint shall hold it.
   */
  endEpoch(validation: Validation | undefined): boolean {
    const bad = firstNotFinite(this.#learned());
    if (bad !== undefined) throw this.#diverged("what the epoch learned is not finite", null);
    this.deadAlphas = this.#alphaActivity.takeDead(this.#config.space.primitives);
    this.#stopped = this.method.endEpoch?.(this.epoch, validation?.accuracy) ?? false;
    this.epoch++;
    this.step = 0;
    return this.finished;
  }

  /** Everything that the next step depends on. The tensors are the live ones: write them before going on. */
  snapshot(): Snapshot {
    const tensors = new Map<string, Tensor>();
    addTensors(tensors, "weights/", this.supernet.stateDict());
    addTensors(tensors, "alphas/", this.method.alphas);
    addTensors(tensors, "weight-optimizer/", this.#weightOptimizer.tensors());
    addTensors(tensors, "arch-optimizer/", this.#archOptimizer.tensors());
    addTensors(tensors, "alpha-activity/", this.#alphaActivity.tensors());
    addGenerator(tensors, this.#config.device);
    const state: SearchState = {
      epoch: this.epoch,
      step: this.step,
      stopped: this.#stopped,
      totals: { ...this.totals },
      weightBatches: this.#weightBatches.state(),
      archBatches: this.#archBatches.state(),
      weightSteps: this.#weightOptimizer.steps(),
      archSteps: this.#archOptimizer.steps(),
      random: this.#random.state(),
      method: this.method.state?.() ?? null,
    };
    return { tensors, state };
  }

  /** Continues from a snapshot of a search with the same configuration and data. */
  restore({ tensors, state }: Snapshot): void {
    const saved = state as SearchState;
    this.supernet.loadStateDict(part(tensors, "weights/"));
    const alphas = part(tensors, "alphas/");
    noGrad(() => {
      for (const [name, alpha] of this.method.alphas) alpha.copy_(alphas.get(name)!);
    });
    this.#weightOptimizer.restore(part(tensors, "weight-optimizer/"), saved.weightSteps);
    this.#archOptimizer.restore(part(tensors, "arch-optimizer/"), saved.archSteps);
    this.#alphaActivity.restore(part(tensors, "alpha-activity/"));
    this.#weightBatches.restore(saved.weightBatches);
    this.#archBatches.restore(saved.archBatches);
    this.#random.restore(saved.random);
    this.method.restore?.(saved.method);
    restoreGenerator(tensors, this.#config.device);
    this.epoch = saved.epoch;
    this.step = saved.step;
    this.#stopped = saved.stopped;
    this.totals = { ...saved.totals };
  }

  dispose(): void {
    this.supernet.dispose();
    for (const alpha of this.method.alphas.values()) alpha.dispose();
    this.#weightOptimizer.dispose();
    this.#archOptimizer.dispose();
    this.#alphaActivity.dispose();
    releaseKernelMemory();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** In the order in which they can spoil each other: weights never move by a bad gradient, alphas may. */
  *#learned(): Named {
    yield* labelled("the weight", this.supernet.namedParameters());
    yield* labelled("the alphas", this.method.alphas);
    yield* labelled("the buffer", this.supernet.namedBuffers());
  }

  #diverged(what: string, step: number | null, spoiled?: Parameter): Divergence {
    const { epoch } = this;
    const first = firstNotFinite(this.#learned()) ?? gradientName(this.supernet.namedParameters(), spoiled);
    const where =
      step === null ? `at the end of epoch ${epoch + 1}` : `at step ${step + 1} of epoch ${epoch + 1}`;
    return new Divergence(
      `The search diverged: ${what} ${where}, expected finite numbers. First to go bad: ${first}. ` +
        "Lower search.learningRate or search.archLearningRate; checkpoints of earlier epochs are kept.",
      { phase: "search", epoch, step, first },
    );
  }
}
