// What a search method is: its architecture parameters, how they mix a supernet's candidates in a pass, what one
// step does, and how cells are derived. A method is one file and one row in the table of methods.ts; it says only
// what its paper changes. Where the family differs, and by which member each is said:
//   candidates on an edge, partial channels, dropout on skips   createEdge    (PC-DARTS, P-DARTS)
//   softmax, joint softmax, samples, edge weights, noise        mixture       (DARTS, I-DARTS, GDAS, SNAS, SDARTS)
//   order of steps, one-level, attacks, penalties               step          (DARTS, GDAS, SNAS, SDARTS, FairDARTS)
//   temperatures, decisions, warm-up, early stops               beginEpoch, endEpoch   (GDAS, SGAS, RobustDARTS)
//   derivation rule                                             derive

import type { TensorBatch } from "../data/batch-tensors.ts";
import type { Genotype } from "../genotype/genotype.ts";
import type { Loss } from "../optim/accumulate.ts";
import type { Optimizer } from "../optim/optimizer.ts";
import type { SGD } from "../optim/sgd.ts";
import type { EdgeContext, EdgeModule } from "../space/mixed-op.ts";
import type { Primitive } from "../space/primitives.ts";
import type { Mixture } from "../space/supernet.ts";
import type { Parameter, Tensor } from "../tensor/tensor.ts";

/** What a forward pass is for: a method may mix differently in each. */
export type Purpose = "weights" | "architecture" | "validation";

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
  readonly device: string;
  /** The batch for the weights. */
  readonly trainBatch: TensorBatch;
  /** The next batch for the architecture; drawn only when it is asked for. */
  archBatch(): TensorBatch;
  /**
   * Mean cross-entropy of a batch under the method's present mixture, in as many parts as it has micro-batches; `seen`
   * is shown the logits of each. Differentiate it with {@link lossGradient}.
   */
  loss(batch: TensorBatch, purpose: Purpose, seen?: (logits: Tensor, labels: Tensor) => void): Loss;
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

/** Alphas as rows of numbers, for logs and derivation: one row for each edge, one column for each primitive. */
export interface AlphaRows {
  readonly normal: number[][];
  readonly reduce: number[][];
}

/** A search method at work in one run. */
export interface SearchMethod {
  /** Architecture parameters by the names that checkpoints give them; the architecture optimizer moves all of them. */
  readonly alphas: ReadonlyMap<string, Parameter>;
  /** Builds the supernet's edges; absent: {@link MixedOp}. */
  readonly createEdge?: (context: EdgeContext) => EdgeModule;
  /**
   * Weights of the candidates for one forward pass, made anew for each. What is random in them comes from libtorch's
   * generator: the micro-batches of one batch, and the passes of the unrolled step, repeat its draws.
   */
  mixture(purpose: Purpose): Mixture;
  /** One step of the search: moves the alphas, the weights, or both. */
  step(step: SearchStep): StepResult;
  /** The cells of the moment. */
  derive(): Genotype;
  alphaRows(): AlphaRows;
  beginEpoch?(epoch: number): void;
  /** After an epoch and its validation; `true` ends the search early. */
  endEpoch?(epoch: number, validAccuracy: number | undefined): boolean;
  /** What else a checkpoint must hold, as plain JSON. */
  state?(): unknown;
  restore?(state: unknown): void;
}

/** What a method is made from. */
export interface MethodContext {
  readonly nodes: number;
  readonly primitives: readonly Primitive[];
  readonly epochs: number;
  readonly order: "first" | "second" | "joint" | "alternating";
  readonly archFromEpoch: number;
  readonly device: string;
}

/** A row of the table of methods. */
export interface MethodEntry {
  readonly paper: string;
  readonly create: (context: MethodContext) => SearchMethod;
}
