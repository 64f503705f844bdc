// Stochastic gradient descent with momentum, L2 penalty and Nesterov's look-ahead, as in PyTorch.
import { aten } from "../tensor/aten.ts";
import type { Parameter, Tensor } from "../tensor/tensor.ts";
import { Optimizer } from "./optimizer.ts";

/** Options of {@link SGD}. */
export interface SgdOptions {
  readonly learningRate: number;
  readonly momentum?: number;
  readonly weightDecay?: number;
  readonly nesterov?: boolean;
}

/** g ← g + wd·w; buf ← µ·buf + g (the first time buf = g); w ← w − lr·buf, or w − lr·(g + µ·buf) with Nesterov. */
export class SGD extends Optimizer {
  readonly momentum: number;
  /** May be set before a step. */
  weightDecay: number;
  readonly nesterov: boolean;

  constructor(
    parameters: readonly Parameter[],
    { learningRate, momentum = 0, weightDecay = 0, nesterov = false }: SgdOptions,
  ) {
    super(parameters, learningRate);
    this.momentum = momentum;
    this.weightDecay = weightDecay;
    this.nesterov = nesterov;
  }

  protected override update(parameter: Parameter, gradient: Tensor, state: Map<string, Tensor>): void {
    const { momentum, weightDecay, nesterov, learningRate } = this;
    const decayed = weightDecay === 0 ? gradient : aten.add.Tensor(gradient, parameter, weightDecay);
    let direction = decayed;
    if (momentum !== 0) {
      const buffer = state.get("momentum_buffer");
      if (buffer) aten.add_.Tensor(aten.mul_.Scalar(buffer, momentum), decayed);
      const current = buffer ?? this.remember(state, "momentum_buffer", decayed.clone());
      direction = nesterov ? aten.add.Tensor(decayed, current, momentum) : current;
    }
    aten.add_.Tensor(parameter, direction, -learningRate);
  }
}
