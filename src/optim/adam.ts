// Adam (Kingma and Ba, ICLR 2015) with the penalty in the gradient (L2), as PyTorch's Adam; not AdamW.
import { aten } from "../tensor/aten.ts";
import { type Parameter, type Tensor, zeros } from "../tensor/tensor.ts";
import { Optimizer } from "./optimizer.ts";

/** Options of {@link Adam}. */
export interface AdamOptions {
  readonly learningRate: number;
  readonly betas?: readonly [number, number];
  readonly eps?: number;
  readonly weightDecay?: number;
}

/** m ← β₁m + (1−β₁)g; v ← β₂v + (1−β₂)g²; w ← w − lr·m̂ / (√v̂ + ε), hats for the bias correction. */
export class Adam extends Optimizer {
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly weightDecay: number;

  constructor(
    parameters: readonly Parameter[],
    { learningRate, betas = [0.9, 0.999], eps = 1e-8, weightDecay = 0 }: AdamOptions,
  ) {
    super(parameters, learningRate);
    this.betas = betas;
    this.eps = eps;
    this.weightDecay = weightDecay;
  }

  protected override update(
    parameter: Parameter,
    gradient: Tensor,
    state: Map<string, Tensor>,
    step: number,
  ): void {
    const [beta1, beta2] = this.betas;
    const g = this.weightDecay === 0 ? gradient : aten.add.Tensor(gradient, parameter, this.weightDecay);
    const like = { dtype: parameter.dtype, device: parameter.device };
    const mean = state.get("exp_avg") ?? this.remember(state, "exp_avg", zeros(parameter.shape, like));
    const square =
      state.get("exp_avg_sq") ?? this.remember(state, "exp_avg_sq", zeros(parameter.shape, like));
    aten.lerp_.Scalar(mean, g, 1 - beta1);
    aten.addcmul_.default(aten.mul_.Scalar(square, beta2), g, g, 1 - beta2);
    const deviation = aten.sqrt
      .default(square)
      .div(Math.sqrt(1 - beta2 ** step))
      .add(this.eps);
    aten.addcdiv_.default(parameter, mean, deviation, -this.learningRate / (1 - beta1 ** step));
  }
}
