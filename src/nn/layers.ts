// The layers that convolutional cells are made of, with PyTorch's semantics and initial values.
import { aten } from "../tensor/aten.ts";
import { noGrad } from "../tensor/autograd.ts";
import { keep } from "../tensor/scope.ts";
import { ones, Parameter, type Tensor, zeros } from "../tensor/tensor.ts";
import { Layer } from "./module.ts";

/** Height and width, or one number for both. */
export type Size = number | readonly [height: number, width: number];

const pair = (size: Size): readonly [number, number] => (typeof size === "number" ? [size, size] : size);

/**
 * Uniform in ±1/√fanIn: what PyTorch's kaiming_uniform_(a=√5) comes to for a weight, and its rule for a bias.
 * Draws from libtorch's generator, so a seed gives the very values it gives in PyTorch.
 */
function uniformParameter(shape: readonly number[], fanIn: number): Parameter {
  const bound = 1 / Math.sqrt(fanIn);
  return noGrad(() => {
    using empty = zeros(shape);
    return new Parameter(aten.uniform_.default(empty, -bound, bound));
  });
}

/** Options of {@link Conv2d}. */
export interface ConvOptions {
  readonly stride?: Size;
  readonly padding?: Size;
  readonly dilation?: Size;
  readonly groups?: number;
  readonly bias?: boolean;
}

/** 2-D convolution, [N, Cin, H, W] → [N, Cout, H', W']. Without bias unless asked for: every one here is normalised. */
export class Conv2d extends Layer {
  readonly weight: Parameter;
  readonly bias: Parameter | undefined;
  readonly stride: readonly [number, number];
  readonly padding: readonly [number, number];
  readonly dilation: readonly [number, number];
  readonly groups: number;

  constructor(
    inChannels: number,
    outChannels: number,
    kernel: Size,
    { stride = 1, padding = 0, dilation = 1, groups = 1, bias = false }: ConvOptions = {},
  ) {
    super();
    const [height, width] = pair(kernel);
    const fanIn = (inChannels / groups) * height * width;
    this.weight = uniformParameter([outChannels, inChannels / groups, height, width], fanIn);
    this.bias = bias ? uniformParameter([outChannels], fanIn) : undefined;
    this.stride = pair(stride);
    this.padding = pair(padding);
    this.dilation = pair(dilation);
    this.groups = groups;
  }

  forward(x: Tensor): Tensor {
    const { weight, bias, padding, dilation, groups } = this;
    // A 1×1 kernel reads every stride-th pixel alone: the same as taking those pixels first. libtorch 1.13 (oneDNN
    // 2.6) must not see the stride: on two threads its gradient of the weights writes past its memory when the
    // channels are few and the images odd in number.
    const [height, width] = weight.shape.slice(2);
    const pointwise = height === 1 && width === 1 && padding[0] === 0 && padding[1] === 0;
    return aten.convolution.default(
      pointwise ? everyNth(x, this.stride) : x,
      weight,
      bias ?? null,
      pointwise ? [1, 1] : this.stride,
      padding,
      dilation,
      false,
      [0, 0],
      groups,
    );
  }
}

/** The pixels of `x` that a kernel of one pixel reads with that stride. */
function everyNth(x: Tensor, [down, across]: readonly [number, number]): Tensor {
  const rows = down === 1 ? x : aten.slice.Tensor(x, 2, 0, null, down);
  return across === 1 ? rows : aten.slice.Tensor(rows, 3, 0, null, across);
}

/** Fully connected layer, [N, in] → [N, out]. */
export class Linear extends Layer {
  readonly weight: Parameter;
  readonly bias: Parameter;

  constructor(inFeatures: number, outFeatures: number) {
    super();
    this.weight = uniformParameter([outFeatures, inFeatures], inFeatures);
    this.bias = uniformParameter([outFeatures], inFeatures);
  }

  forward(x: Tensor): Tensor {
    return aten.linear.default(x, this.weight, this.bias);
  }
}

/** Options of {@link BatchNorm2d}. */
export interface BatchNormOptions {
  /** Learn a scale and a shift for each channel. */
  readonly affine?: boolean;
  readonly eps?: number;
  /** Share of the batch in the running statistics. */
  readonly momentum?: number;
}

/** Batch normalisation of [N, C, H, W] with running statistics, which evaluation uses (PyTorch's biased/unbiased variances). */
export class BatchNorm2d extends Layer {
  readonly weight: Parameter | undefined;
  readonly bias: Parameter | undefined;
  readonly running_mean: Tensor;
  readonly running_var: Tensor;
  readonly num_batches_tracked: Tensor;
  readonly eps: number;
  readonly momentum: number;

  constructor(channels: number, { affine = true, eps = 1e-5, momentum = 0.1 }: BatchNormOptions = {}) {
    super();
    this.weight = affine ? new Parameter(ones([channels])) : undefined;
    this.bias = affine ? new Parameter(zeros([channels])) : undefined;
    this.running_mean = keep(zeros([channels]));
    this.running_var = keep(ones([channels]));
    this.num_batches_tracked = keep(zeros([], { dtype: "int64" }));
    this.eps = eps;
    this.momentum = momentum;
  }

  forward(x: Tensor): Tensor {
    const { weight, bias, running_mean, running_var, training, momentum, eps } = this;
    if (training) aten.add_.Scalar(this.num_batches_tracked, 1).dispose();
    // The last argument lets cuDNN choose its own kernel where there is one.
    return aten.batch_norm.default(
      x,
      weight ?? null,
      bias ?? null,
      running_mean,
      running_var,
      training,
      momentum,
      eps,
      true,
    );
  }
}

/** max(x, 0). */
export class ReLU extends Layer {
  forward(x: Tensor): Tensor {
    return aten.relu.default(x);
  }
}

/** Base of the poolings: a window that moves over the padded image; pairs are [height, width]. */
abstract class Pool2d extends Layer {
  readonly kernel: number | readonly [number, number];
  readonly stride: number | readonly [number, number];
  readonly padding: number;

  constructor(
    kernel: number | readonly [number, number],
    { stride = kernel, padding = 0 }: { stride?: number | readonly [number, number]; padding?: number } = {},
  ) {
    super();
    this.kernel = kernel;
    this.stride = stride;
    this.padding = padding;
  }
}

/** Maximum over windows. */
export class MaxPool2d extends Pool2d {
  forward(x: Tensor): Tensor {
    return aten.max_pool2d.default(x, this.kernel, this.stride, this.padding);
  }
}

/** Mean over windows; padding does not count (count_include_pad = false), so a constant stays constant. */
export class AvgPool2d extends Pool2d {
  forward(x: Tensor): Tensor {
    return aten.avg_pool2d.default(x, this.kernel, this.stride, this.padding, false, false);
  }
}

/** Mean over height and width, [N, C, H, W] → [N, C]. */
export function globalAveragePool(x: Tensor): Tensor {
  return aten.mean.dim(x, [2, 3]);
}
