// What a search method is: its architecture parameters, how they mix a supernet's candidates in a pass, what one
// step does, and how cells are derived. It says only what its paper changes. Where the family differs, and by which
// member each is said:
//   candidates on an edge, partial channels, dropout on skips   createEdge    (PC-DARTS, P-DARTS)
//   softmax, joint softmax, samples, edge weights, noise        mixture       (DARTS, I-DARTS, GDAS, SNAS, SDARTS)
//   a price on resources, a regulariser of the alphas           mixture's penalty   (SNAS, FairDARTS)
//   order of steps, one-level, attacks                          step          (DARTS, GDAS, SNAS, SDARTS)
//   temperatures, decisions, warm-up, early stops               beginEpoch, endEpoch   (GDAS, SGAS, RobustDARTS)
//   stages, shrinking candidates, growing batches               shape         (P-DARTS, SGAS)
//   derivation rule                                             derive

import type { TensorBatch } from "../data/batch-tensors.ts";
import type { Genotype } from "../genotype/genotype.ts";
import type { Order } from "../methods/declaration.ts";
import type { Loss } from "../optim/accumulate.ts";
import type { Optimizer } from "../optim/optimizer.ts";
import type { SGD } from "../optim/sgd.ts";
import type { Generator } from "../random/generator.ts";
import type { Candidates } from "../space/candidates.ts";
import type { SearchSpace } from "../space/declare-space.ts";
import type { EdgeContext, EdgeModule } from "../space/mixed-op.ts";
import type { Primitive } from "../space/primitives.ts";
import type { FixedReduction, Mixture } from "../space/supernet.ts";
import type { Parameter, Tensor } from "../tensor/tensor.ts";
import type { SearchShape } from "./shape.ts";

/** What a forward pass is for: a method may mix differently in each. */
export type Purpose = "weights" | "architecture" | "both" | "validation";

/** How a supernet mixes in one pass, and what that costs. */
export interface MethodMixture extends Mixture {
  /** A scalar with a graph that is added to the loss: only in passes that move the alphas. */
  readonly penalty?: Tensor;
}

/** Is shown the logits of a part of a batch, its labels, and its share of the batch's mean cross-entropy. */
export type SeenPart = (logits: Tensor, labels: Tensor, crossEntropy: Tensor) => void;

/** What a step works on: the supernet's parameters and optimizers, and the batches of this step. */
export interface SearchStep {
  readonly epoch: number;
  readonly weights: readonly Parameter[];
  readonly buffers: readonly Tensor[];
  readonly alphas: readonly Parameter[];
  readonly weightOptimizer: SGD;
  readonly archOptimizer: Optimizer;
  /** Largest global norm of the weights' gradient; 0: no clipping. */
  readonly gradClip: number;
  /** Largest global norm of the alphas' gradient; 0: no clipping. */
  readonly archGradClip: number;
  readonly device: string;
  /** The method's random numbers: second-order passes that must see the same draws rewind it. */
  readonly random: Generator;
  /** The batch for the weights. */
  readonly trainBatch: TensorBatch;
  /** The next batch for the architecture; drawn only when it is asked for. */
  archBatch(): TensorBatch;
  /**
   * Loss of a batch under a mixture that the method makes for it, in as many parts as it has micro-batches: the mean
   * cross-entropy, and for a pass that moves the alphas the mixture's penalty. `seen` is shown the logits of each part
   * and its share of the cross-entropy. Differentiate it with {@link lossGradient}.
   */
  loss(batch: TensorBatch, purpose: Purpose, seen?: SeenPart): Loss;
  /** Runs `fn` with the supernet in evaluation mode: running statistics, which no pass then changes. */
  evaluating<T>(fn: () => T): T;
}

/** What a step reports. */
export interface StepResult {
  /** Mean cross-entropy of the weights' batch, before the weights moved. */
  readonly trainLoss: number;
  /** How many of its images were classified rightly. */
  readonly trainCorrect: number;
  /** Loss of the architecture's batch; undefined in a step that left the alphas alone. */
  readonly archLoss?: number;
  /** In a step that diverged: the parameter with the first gradient that is not finite, if one was found. */
  readonly spoiled?: Parameter | undefined;
}

/**
 * Alphas as rows of numbers, for logs and derivation: one row for each edge, one column for each primitive. A cell that
 * is not searched has no rows.
 */
export interface AlphaRows {
  readonly normal: number[][];
  readonly reduce: number[][];
}

/** Logits of the edges as numbers, for logs and derivation. */
export interface EdgeLogits {
  readonly normal: number[];
  readonly reduce: number[];
}

/** How strong each pair of edge and operation of a cell is. */
export interface CellStrengths {
  /** In what proportion the derivation keeps the pairs, [edges, primitives], with a graph; 0 where it cannot keep one. */
  readonly operations: Tensor;
  /** Edges that are kept for certain, each with the operation of strength 1. */
  readonly certain?: readonly number[];
}

/** {@link CellStrengths} of both cells; without `reduce` where it is not searched. */
export interface Strengths {
  readonly normal: CellStrengths;
  readonly reduce?: CellStrengths;
}

/** What was measured after an epoch. */
export interface EpochMeasures {
  /** Top-1 on the architecture split, 0…1; undefined in a one-level search. */
  readonly validAccuracy?: number | undefined;
  /** Largest eigenvalue of the Hessian, in epochs that measured it. */
  readonly eigenvalue?: number | undefined;
}

/** Why a search ends before its length, or goes back, and the epoch whose cell is the better one. */
export interface EarlyEnd {
  /** Name of the rule. */
  readonly rule: string;
  /** What it saw, as a sentence without a full stop. */
  readonly reason: string;
  /** Epoch to go back to, counted from 0. */
  readonly back: number;
  /** Whether the search goes on from the end of that epoch, which must be one of {@link SearchMethod.kept}; absent: it ends. */
  readonly goesOn?: boolean;
}

/** A search method at work in one run. */
export interface SearchMethod {
  /** Architecture parameters by the names that checkpoints give them; the architecture optimizer moves all of them. */
  readonly alphas: ReadonlyMap<string, Parameter>;
  /** Builds the supernet's edges; absent: {@link MixedOp}. */
  readonly createEdge?: (context: EdgeContext) => EdgeModule;
  /** Reduction cells that are not searched; absent: both kinds of cells are. */
  readonly fixedReduction?: FixedReduction;
  /**
   * Weights of the candidates for one forward pass, made anew for each; must not draw for a validation. What is random
   * in them comes from the context's stream (or libtorch's generator): the micro-batches of one batch, and the passes
   * of the unrolled step, repeat its draws.
   */
  mixture(purpose: Purpose, epoch: number): MethodMixture;
  /** One step of the search: moves the alphas, the weights, or both. */
  step(step: SearchStep): StepResult;
  /** The cells of the moment. */
  derive(): Genotype;
  alphaRows(): AlphaRows;
  /** Logits of the edges, where they are learned (PC-DARTS' betas). */
  edgeLogits?(): EdgeLogits;
  /**
   * By what the derivation ranks what it keeps, as a function of the alphas: a budget expects costs from it. Absent
   * where nothing is probable; a budget is then an error.
   */
  strengths?(): Strengths;
  /** What else is worth a line in the log of an epoch: temperatures, radii, expected costs. */
  figures?(epoch: number): Readonly<Record<string, number>>;
  /**
   * The supernet that the next epoch needs, as far as it differs from what the configuration says; the search asks
   * before each epoch and rebuilds what has changed. It is made from the method's state alone.
   */
  shape?(): Partial<SearchShape>;
  /** A stage begins: its weights will be new. Draws alphas anew where the method wants that. */
  beginStage?(): void;
  /** Each puts a new method where its supernet may take the most memory: what plans rehearse. Absent: as it is. */
  readonly rehearsals?: readonly (() => void)[];
  /** Weight of the L2 penalty on the weights at the moment, where the method changes it; absent: `search.weightDecay`. */
  weightDecay?(): number;
  /** Finished epochs to whose end it may still go back: the search keeps what they ended with. Absent: none. */
  kept?(): readonly number[];
  /** The most of them at a time: what plans rehearse. */
  readonly mostKept?: number;
  beginEpoch?(epoch: number): void;
  /** Whether it wants the largest eigenvalue of the validation loss's Hessian in the alphas after this epoch. */
  wantsEigenvalue?(epoch: number): boolean;
  /** After an epoch and what was measured after it; what it returns ends the search early, or sets it back. */
  endEpoch?(epoch: number, measured: EpochMeasures): EarlyEnd | undefined;
  /** What else a checkpoint must hold, as plain JSON. The state of `random` is saved for it. */
  state?(): unknown;
  restore?(state: unknown): void;
}

/** What a method is made from. */
export interface MethodContext {
  /** The space that is searched; absent: that of DARTS. */
  readonly space?: SearchSpace;
  readonly nodes: number;
  readonly primitives: readonly Primitive[];
  /** Candidates of each edge; undefined where every edge has all primitives. */
  readonly candidates?: Candidates | undefined;
  readonly epochs: number;
  readonly order: Order;
  readonly archFromEpoch: number;
  readonly device: string;
  /** Channels of the supernet's first cell. */
  readonly channels: number;
  /** Cells of the supernet. */
  readonly cells: number;
  /** Images in a mini-batch. */
  readonly batchSize: number;
  /** Weight of the L2 penalty on the weights. */
  readonly weightDecay: number;
  /** Height and width of the images. */
  readonly imageSize: readonly [height: number, width: number];
  /** A stream of random numbers of the method's own; the search saves and restores it. */
  readonly random: Generator;
}
