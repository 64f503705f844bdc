// A search in progress: supernet, alphas, both optimizers and the batches, moved one step at a time.
// It can be saved between any two steps and continued to the same bytes.
import type { Config } from "../config/schema.ts";
import { toTensors } from "../data/batch-tensors.ts";
import { type Batch, type Batches, type BatchesState, withBatchSize } from "../data/batches.ts";
import type { ImageDataset } from "../data/dataset.ts";
import type { SearchSplits } from "../data/splits.ts";
import { Divergence, firstNotFinite, gradientName, labelled, type Named } from "../nn/divergence.ts";
import { crossEntropy, topCorrect } from "../nn/loss.ts";
import { addStep, emptyTotals, meansOf, type Totals } from "../nn/totals.ts";
import type { Adam } from "../optim/adam.ts";
import { cosine } from "../optim/schedule.ts";
import type { SGD } from "../optim/sgd.ts";
import { addGenerator, addTensors, part, restoreGenerator, type Snapshot } from "../optim/snapshot.ts";
import { createGenerator, type GeneratorState, type Generator as RandomStream } from "../random/generator.ts";
import { releaseKernelMemory } from "../space/fused-cell.ts";
import type { Supernet } from "../space/supernet.ts";
import { noGrad } from "../tensor/autograd.ts";
import { generatorState, seed, setGeneratorState } from "../tensor/runtime.ts";
import { keep, scope } from "../tensor/scope.ts";
import type { Parameter, Tensor } from "../tensor/tensor.ts";
import { AlphaActivity } from "./alpha-activity.ts";
import { batchLoss, type LossContext } from "./batch-loss.ts";
import {
  buildArchOptimizer,
  buildBatches,
  buildMethod,
  buildSupernet,
  buildValidBatches,
  buildWeightOptimizer,
} from "./build.ts";
import { eigenvalueOn } from "./eigenvalue.ts";
import type { HessianMode, PowerOptions } from "./hessian.ts";
import type { EarlyEnd, SearchMethod, StepResult } from "./method.ts";
import { type SearchShape, sameShape, shapeOf } from "./shape.ts";
import { isOneLevel, splitsFor } from "./splits.ts";

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
  readonly ended: EarlyEnd | null;
  /** What the weights are of. */
  readonly shape: SearchShape;
  readonly totals: Totals;
  readonly weightBatches: BatchesState;
  readonly archBatches: BatchesState;
  readonly weightSteps: number[];
  readonly archSteps: number[];
  readonly random: GeneratorState;
  readonly method: unknown;
  /** Of the epochs that the search may go back to; absent where there are none. */
  readonly kept?: readonly (KeptSteps & { readonly epoch: number })[];
}

/** Steps that each parameter has taken. */
interface KeptSteps {
  readonly weightSteps: readonly number[];
  readonly archSteps: readonly number[];
}

/** What an epoch ended with that the search may go back to. */
interface KeptEpoch extends KeptSteps {
  readonly tensors: ReadonlyMap<string, Tensor>;
}

/** A search of one configuration on one data set. Owns its tensors: call `dispose` at the end. */
export class Search {
  readonly method: SearchMethod;
  /** Rebuilt where the method's shape asks for another. */
  supernet!: Supernet;
  /** Finished epochs. */
  epoch = 0;
  /** Finished steps of the present epoch. */
  step = 0;
  /** Sums over the steps of the present epoch. */
  totals: Totals = emptyTotals();
  /** Why it ended before its length; undefined where it did not. */
  ended: EarlyEnd | undefined;
  /** Why it went back after the last finished epoch; undefined where it did not. */
  wentBack: EarlyEnd | undefined;
  /** Alphas whose gradient was exactly zero in every step of the last finished epoch. */
  deadAlphas: readonly string[] = [];
  readonly #config: Config;
  readonly #dataset: Omit<ImageDataset, "test">;
  readonly #splits: SearchSplits;
  #shape: SearchShape;
  /** Images in a batch, whatever the method says: in rehearsals. */
  readonly #batchSize: number | undefined;
  #batches: ReturnType<typeof buildBatches>;
  /** The architecture split again, in order and as it is; absent when there is none apart (one-level). */
  readonly #validBatches: Batches | undefined;
  /** Listed once: finding them walks some thousand layers. */
  #buffers: readonly Tensor[] = [];
  /** What the method draws from. */
  readonly #random: RandomStream;
  #weightOptimizer!: SGD;
  #archOptimizer!: Adam;
  readonly #alphaActivity: AlphaActivity;
  /** By the number of the epoch. */
  readonly #kept = new Map<number, KeptEpoch>();
  readonly #rehearses: boolean;

  /** `rehearsal` is the number of one of the method's {@link SearchMethod.rehearsals}, at the configured batch size. */
  constructor(
    config: Config,
    dataset: Omit<ImageDataset, "test">,
    { rehearsal }: { rehearsal?: number | undefined } = {},
  ) {
    this.#config = config;
    this.#dataset = dataset;
    this.#splits = splitsFor(config, dataset);
    this.#validBatches = isOneLevel(config) ? undefined : buildValidBatches(config, dataset, this.#splits);
    seed(config.seed);
    this.#random = createGenerator(config.seed, "search/method");
    this.method = buildMethod(config, dataset, this.#random);
    this.#rehearses = rehearsal !== undefined;
    if (rehearsal !== undefined) {
      this.method.rehearsals?.[rehearsal]?.();
      this.#batchSize = config.search.batchSize;
    }
    this.#shape = this.#wanted();
    this.#batches = buildBatches(config, dataset, this.#splits, this.#shape.batchSize);
    this.#alphaActivity = new AlphaActivity(this.method.alphas);
    this.#build();
    seed(config.seed, config.device);
  }

  /** What is trained at this moment. */
  get shape(): SearchShape {
    return this.#shape;
  }

  /** Steps of the present epoch. */
  get stepsPerEpoch(): number {
    return this.#batches.weights.batchesPerEpoch;
  }

  /** Its length: that of the configuration, and as many epochs again as it went back. */
  get epochs(): number {
    const { first, epochs } = this.#wanted().schedule;
    return Math.max(this.#config.search.epochs, first + epochs);
  }

  /** Whether it is over, by its length or by the method's rule. */
  get finished(): boolean {
    return this.ended !== undefined || this.epoch >= this.epochs;
  }

  /** The weights' learning rate in the present epoch. */
  get learningRate(): number {
    const { learningRate, learningRateMin } = this.#config.search;
    const { first, epochs } = this.#shape.schedule;
    return cosine(learningRate, learningRateMin, epochs, this.epoch - first);
  }

  /** Makes one step. Throws a {@link Divergence} naming the step and the first bad tensor when the loss is no finite number. */
  runStep(): StepResult {
    if (this.step === 0) {
      this.#become(this.#wanted());
      this.totals = emptyTotals();
      this.method.beginEpoch?.(this.epoch);
    }
    const { device, search } = this.#config;
    this.#weightOptimizer.learningRate = this.learningRate;
    this.#weightOptimizer.weightDecay = this.method.weightDecay?.() ?? search.weightDecay;
    const result = scope(() => {
      const trainBatch = toTensors(this.#batches.weights.next(), device);
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
        archBatch: () => toTensors(this.#batches.architecture.next(), device),
        loss: (batch, purpose, seen) => batchLoss(this.#lossContext(), batch, purpose, seen),
        evaluating: (fn) => this.supernet.evaluating(fn),
      });
      addStep(this.totals, step.trainLoss, step.trainCorrect, trainBatch.size);
      return step;
    });
    const bad = [result.trainLoss, result.archLoss ?? 0].find((loss) => !Number.isFinite(loss));
    if (bad !== undefined)
      throw this.#diverged(`the loss or its gradient is ${bad}`, this.step, result.spoiled);
    this.step++;
    // As many states as a search holds that may go back.
    if (this.#rehearses) for (let i = this.#kept.size; i < (this.method.mostKept ?? 0); i++) this.#keep(i);
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
    const means = meansOf(totals);
    if (!Number.isFinite(means.loss))
      throw this.#diverged(`the loss of the validation is ${means.loss}`, null);
    return means;
  }

  /**
   * The largest eigenvalue of the Hessian in the alphas of the loss on the first images of the architecture split, the
   * same in every epoch, with batch statistics; undefined in a one-level search. Everything is as found afterwards.
   */
  eigenvalue(mode: HessianMode, options?: PowerOptions): number | undefined {
    const batches = this.#validBatches;
    if (!batches) return undefined;
    const start = batches.state();
    try {
      return scope(() =>
        eigenvalueOn(toTensors(batches.next(), this.#config.device), mode, {
          ...this.#lossContext(),
          ...options,
          alphas: this.#archOptimizer.parameters,
          buffers: this.#buffers,
        }),
      );
    } finally {
      batches.restore(start);
    }
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
  endEpoch(validation: Validation | undefined, eigenvalue?: number): boolean {
    const bad = firstNotFinite(this.#learned());
    if (bad !== undefined) throw this.#diverged("what the epoch learned is not finite", null);
    this.deadAlphas = this.#alphaActivity.takeDead(this.#config.space.primitives, this.#shape.candidates);
    const end = this.method.endEpoch?.(this.epoch, { validAccuracy: validation?.accuracy, eigenvalue });
    this.wentBack = end?.goesOn ? end : undefined;
    this.ended = end?.goesOn ? undefined : end;
    const { wentBack } = this;
    if (wentBack) scope(() => this.#take(this.#keptEpoch(wentBack.back)));
    this.#keepWanted();
    this.epoch++;
    this.step = 0;
    return this.finished;
  }

  /** Ends the search after the epoch that was just closed. */
  end(early: EarlyEnd): void {
    this.ended = early;
  }

  /** Everything that the next step depends on. The tensors are the live ones: write them before going on. */
  snapshot(): Snapshot {
    const tensors = this.#learnedTensors();
    for (const [epoch, kept] of this.#kept) addTensors(tensors, `kept/${epoch}/`, kept.tensors);
    addTensors(tensors, "alpha-activity/", this.#alphaActivity.tensors());
    addGenerator(tensors, this.#config.device);
    const state: SearchState = {
      epoch: this.epoch,
      step: this.step,
      ended: this.ended ?? null,
      shape: this.#shape,
      totals: { ...this.totals },
      weightBatches: this.#batches.weights.state(),
      archBatches: this.#batches.architecture.state(),
      weightSteps: this.#weightOptimizer.steps(),
      archSteps: this.#archOptimizer.steps(),
      random: this.#random.state(),
      method: this.method.state?.() ?? null,
      ...(this.#kept.size > 0 && {
        kept: [...this.#kept].map(([epoch, { weightSteps, archSteps }]) => ({
          epoch,
          weightSteps,
          archSteps,
        })),
      }),
    };
    return { tensors, state };
  }

  /** Continues from a snapshot of a search with the same configuration and data. */
  restore({ tensors, state }: Snapshot): void {
    const saved = state as SearchState;
    // The method may already want the next epoch's shape: that comes with its first step.
    if (!sameShape(saved.shape, this.#shape)) this.#rebuild(saved.shape);
    this.#take({ ...saved, tensors });
    this.#dropKept();
    for (const { epoch, ...steps } of saved.kept ?? [])
      this.#kept.set(epoch, { ...steps, tensors: copied(part(tensors, `kept/${epoch}/`)) });
    this.#alphaActivity.restore(part(tensors, "alpha-activity/"));
    this.#batches.weights.restore(saved.weightBatches);
    this.#batches.architecture.restore(saved.archBatches);
    this.#random.restore(saved.random);
    this.method.restore?.(saved.method);
    restoreGenerator(tensors, this.#config.device);
    this.epoch = saved.epoch;
    this.step = saved.step;
    this.ended = saved.ended ?? undefined;
    this.totals = { ...saved.totals };
  }

  dispose(): void {
    this.#disposeStage();
    this.#dropKept();
    for (const alpha of this.method.alphas.values()) alpha.dispose();
    this.#alphaActivity.dispose();
    releaseKernelMemory();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #wanted(): SearchShape {
    const shape = shapeOf(this.#config, this.method);
    return this.#batchSize === undefined ? shape : { ...shape, batchSize: this.#batchSize };
  }

  #lossContext(): LossContext {
    const { supernet, method, epoch } = this;
    const { device, search } = this.#config;
    return { supernet, method, device, random: this.#random, microBatch: search.microBatch, epoch };
  }

  /** What the steps move: the live tensors of the weights, the alphas and both optimizers. */
  #learnedTensors(): Map<string, Tensor> {
    const tensors = new Map<string, Tensor>();
    addTensors(tensors, "weights/", this.supernet.stateDict());
    addTensors(tensors, "alphas/", this.method.alphas);
    addTensors(tensors, "weight-optimizer/", this.#weightOptimizer.tensors());
    addTensors(tensors, "arch-optimizer/", this.#archOptimizer.tensors());
    return tensors;
  }

  /** Sets them to what they were. */
  #take({ tensors, weightSteps, archSteps }: KeptEpoch): void {
    this.supernet.loadStateDict(part(tensors, "weights/"));
    const alphas = part(tensors, "alphas/");
    noGrad(() => {
      for (const [name, alpha] of this.method.alphas) alpha.copy_(alphas.get(name)!);
    });
    this.#weightOptimizer.restore(part(tensors, "weight-optimizer/"), weightSteps);
    this.#archOptimizer.restore(part(tensors, "arch-optimizer/"), archSteps);
  }

  /** Keeps the epoch that ends, where the method may go back to it, and drops those that it no longer may. */
  #keepWanted(): void {
    const wanted = this.method.kept?.() ?? [];
    for (const epoch of this.#kept.keys()) if (!wanted.includes(epoch)) this.#dropKept(epoch);
    if (wanted.includes(this.epoch)) this.#keep(this.epoch);
  }

  #keptEpoch(epoch: number): KeptEpoch {
    const kept = this.#kept.get(epoch);
    if (!kept) throw new Error(`the method goes back to epoch ${epoch}, which is none of those that it kept`);
    return kept;
  }

  #keep(epoch: number): void {
    this.#kept.set(epoch, {
      tensors: copied(this.#learnedTensors()),
      weightSteps: this.#weightOptimizer.steps(),
      archSteps: this.#archOptimizer.steps(),
    });
  }

  /** Drops one epoch, or all. */
  #dropKept(epoch?: number): void {
    for (const [number, { tensors }] of this.#kept) {
      if (epoch !== undefined && number !== epoch) continue;
      for (const tensor of tensors.values()) tensor.dispose();
      this.#kept.delete(number);
    }
  }

  /** Takes on the shape that the epoch to come needs. A stage has random numbers of its own: those of its number. */
  #become(shape: SearchShape): void {
    if (sameShape(shape, this.#shape)) return;
    const begins = shape.stage !== this.#shape.stage;
    const { seed: own, device } = this.#config;
    const states = [this.#batches.weights.state(), this.#batches.architecture.state()] as const;
    if (begins) {
      seed(own + shape.stage);
      this.method.beginStage?.();
    }
    this.#rebuild(shape);
    if (begins) seed(own + shape.stage, device);
    this.#batches.weights.restore(withBatchSize(states[0], shape.batchSize));
    this.#batches.architecture.restore(withBatchSize(states[1], shape.batchSize));
  }

  /** What differs between the present shape and another is built anew. */
  #rebuild(shape: SearchShape): void {
    const { stage, batchSize } = this.#shape;
    this.#shape = shape;
    if (shape.batchSize !== batchSize)
      this.#batches = buildBatches(this.#config, this.#dataset, this.#splits, shape.batchSize);
    if (shape.stage === stage) return;
    this.#disposeStage();
    releaseKernelMemory();
    this.#build();
  }

  #build(): void {
    const config = this.#config;
    this.supernet = buildSupernet(config, this.#dataset, this.#shape, this.method);
    this.#buffers = this.supernet.buffers();
    this.#weightOptimizer = buildWeightOptimizer(config, this.supernet.parameters());
    this.#archOptimizer = buildArchOptimizer(config, [...this.method.alphas.values()]);
    this.#archOptimizer.onStep = (gradients) => this.#alphaActivity.add(gradients);
  }

  #disposeStage(): void {
    this.supernet.dispose();
    this.#weightOptimizer.dispose();
    this.#archOptimizer.dispose();
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

/** Copies that outlive the scope. */
function copied(tensors: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  return noGrad(() =>
    scope(() => new Map([...tensors].map(([name, tensor]) => [name, keep(tensor.clone())]))),
  );
}
