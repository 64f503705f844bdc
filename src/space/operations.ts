// The candidate operations of DARTS (Liu, Simonyan, Yang, ICLR 2019): one row for each, by its published name.
// All convolutions are without bias, in the order ReLU → convolution → batch normalisation.
import { UserError } from "../errors.ts";
import { AvgPool2d, BatchNorm2d, Conv2d, MaxPool2d, ReLU } from "../nn/layers.ts";
import { Identity, Layer, Sequential } from "../nn/module.ts";
import { aten } from "../tensor/aten.ts";
import { cat, randn, type Tensor } from "../tensor/tensor.ts";
import { isPublished, type Primitive, type PublishedPrimitive } from "./primitives.ts";

/** Builds the operation of an edge: `channels` in and out, stride 1 or 2, batch norm with or without scale and shift. */
export type OperationBuilder = (channels: number, stride: number, affine: boolean) => Layer;

/** Layers one after the other under the name `op`, as the reference code holds its operations. */
class Chain extends Layer {
  readonly op: Sequential;

  constructor(...layers: Layer[]) {
    super();
    this.op = new Sequential(...layers);
  }

  forward(x: Tensor): Tensor {
    return this.op.forward(x);
  }
}

/** ReLU, 1×1 convolution, batch normalisation: what maps a cell's inputs to its channels. */
export class ReLUConvBN extends Chain {
  constructor(inChannels: number, outChannels: number, affine: boolean) {
    super(new ReLU(), new Conv2d(inChannels, outChannels, 1), new BatchNorm2d(outChannels, { affine }));
  }
}

/**
 * Halves height and width: two 1×1 convolutions of stride 2, the second on the input shifted by one pixel,
 * joined on the channels. `outChannels` must be even. For odd sizes the shifted input is padded with zeros
 * at the far border, so that both halves agree (the reference code fails there); even sizes are as published.
 */
export class FactorizedReduce extends Layer {
  readonly conv_1: Conv2d;
  readonly conv_2: Conv2d;
  readonly bn: BatchNorm2d;

  constructor(inChannels: number, outChannels: number, affine: boolean) {
    super();
    if (outChannels % 2 !== 0) {
      throw new RangeError(`a factorized reduction needs an even number of channels, got ${outChannels}`);
    }
    this.conv_1 = new Conv2d(inChannels, outChannels / 2, 1, { stride: 2 });
    this.conv_2 = new Conv2d(inChannels, outChannels / 2, 1, { stride: 2 });
    this.bn = new BatchNorm2d(outChannels, { affine });
  }

  forward(x: Tensor): Tensor {
    const active = aten.relu.default(x);
    const [, , height, width] = x.shape;
    const bottom = height % 2;
    const right = width % 2;
    const padded = bottom || right ? aten.constant_pad_nd.default(active, [0, right, 0, bottom]) : active;
    const shifted = aten.slice.Tensor(aten.slice.Tensor(padded, 2, 1), 3, 1);
    return this.bn.forward(cat([this.conv_1.forward(active), this.conv_2.forward(shifted)], 1));
  }
}

/** ReLU, depthwise convolution, 1×1 convolution, batch normalisation. */
function separableUnit(
  channels: number,
  kernel: number,
  { stride, dilation, affine }: { stride: number; dilation: number; affine: boolean },
): Layer[] {
  const padding = ((kernel - 1) / 2) * dilation;
  return [
    new ReLU(),
    new Conv2d(channels, channels, kernel, { stride, padding, dilation, groups: channels }),
    new Conv2d(channels, channels, 1),
    new BatchNorm2d(channels, { affine }),
  ];
}

/** Depthwise-separable convolution, twice; the first one carries the stride. */
export class SepConv extends Chain {
  constructor(channels: number, kernel: number, stride: number, affine: boolean) {
    super(
      ...separableUnit(channels, kernel, { stride, dilation: 1, affine }),
      ...separableUnit(channels, kernel, { stride: 1, dilation: 1, affine }),
    );
  }
}

/** Depthwise-separable convolution with dilation 2, once. */
export class DilConv extends Chain {
  constructor(channels: number, kernel: number, stride: number, affine: boolean) {
    super(...separableUnit(channels, kernel, { stride, dilation: 2, affine }));
  }
}

/** A 1×7 and a 7×1 convolution in a row: an operation of the NASNet genotype, not of the search. Named `op` by index. */
class SevenBySeven extends Sequential {
  constructor(channels: number, stride: number, affine: boolean) {
    super(
      new ReLU(),
      new Conv2d(channels, channels, [1, 7], { stride: [1, stride], padding: [0, 3] }),
      new Conv2d(channels, channels, [7, 1], { stride: [stride, 1], padding: [3, 0] }),
      new BatchNorm2d(channels, { affine }),
    );
  }
}

/** ReLU, an ordinary convolution, batch normalisation (NAS-Bench-201). */
export class NormalConv extends Chain {
  constructor(
    [inChannels, outChannels]: readonly [number, number],
    kernel: number,
    { stride, affine }: { readonly stride: number; readonly affine: boolean },
  ) {
    super(
      new ReLU(),
      new Conv2d(inChannels, outChannels, kernel, { stride, padding: (kernel - 1) / 2 }),
      new BatchNorm2d(outChannels, { affine }),
    );
  }
}

/** Groups of the convolutions of GDAS' fixed reduction: what its channels must be a multiple of. */
export const FIXED_REDUCTION_GROUPS = 8;

/**
 * A 1×3 and a 3×1 convolution in {@link FIXED_REDUCTION_GROUPS} groups, then a 1×1 convolution that mixes them: the
 * first branch of the fixed reduction cell of GDAS (Dong, Yang, CVPR 2019). Each halves one side at stride 2.
 */
class GroupedConv extends Sequential {
  constructor(channels: number, stride: number, affine: boolean) {
    if (channels % FIXED_REDUCTION_GROUPS !== 0) {
      throw new UserError(
        `group_conv_3x1_1x3: got ${channels} channels, expected a multiple of its ${FIXED_REDUCTION_GROUPS} groups. ` +
          `Reduction cells double the channels: set train.channels to a multiple of ${FIXED_REDUCTION_GROUPS / 2}.`,
      );
    }
    const groups = FIXED_REDUCTION_GROUPS;
    super(
      new ReLU(),
      new Conv2d(channels, channels, [1, 3], { stride: [1, stride], padding: [0, 1], groups }),
      new Conv2d(channels, channels, [3, 1], { stride: [stride, 1], padding: [1, 0], groups }),
      new BatchNorm2d(channels, { affine }),
      new ReLU(),
      new Conv2d(channels, channels, 1),
      new BatchNorm2d(channels, { affine }),
    );
  }
}

/** Zeros of the right size: the missing edge. */
export class Zero extends Layer {
  readonly stride: number;

  constructor(stride: number) {
    super();
    this.stride = stride;
  }

  forward(x: Tensor): Tensor {
    const { stride } = this;
    const kept =
      stride === 1 ? x : aten.slice.Tensor(aten.slice.Tensor(x, 2, 0, null, stride), 3, 0, null, stride);
    return kept.mul(0);
  }
}

/** The candidate operations by published name. Pooling has no batch norm here: the supernet adds it (see MixedOp). */
export const OPERATIONS: Readonly<Record<PublishedPrimitive, OperationBuilder>> = {
  none: (_channels, stride) => new Zero(stride),
  max_pool_3x3: (_channels, stride) => new MaxPool2d(3, { stride, padding: 1 }),
  avg_pool_3x3: (_channels, stride) => new AvgPool2d(3, { stride, padding: 1 }),
  skip_connect: (channels, stride, affine) =>
    stride === 1 ? new Identity() : new FactorizedReduce(channels, channels, affine),
  sep_conv_3x3: (channels, stride, affine) => new SepConv(channels, 3, stride, affine),
  sep_conv_5x5: (channels, stride, affine) => new SepConv(channels, 5, stride, affine),
  sep_conv_7x7: (channels, stride, affine) => new SepConv(channels, 7, stride, affine),
  dil_conv_3x3: (channels, stride, affine) => new DilConv(channels, 3, stride, affine),
  dil_conv_5x5: (channels, stride, affine) => new DilConv(channels, 5, stride, affine),
  conv_7x1_1x7: (channels, stride, affine) => new SevenBySeven(channels, stride, affine),
  group_conv_3x1_1x3: (channels, stride, affine) => new GroupedConv(channels, stride, affine),
  norm_max_pool_3x3: (channels, stride, affine) =>
    new Sequential(new MaxPool2d(3, { stride, padding: 1 }), new BatchNorm2d(channels, { affine })),
  nor_conv_1x1: (channels, stride, affine) => new NormalConv([channels, channels], 1, { stride, affine }),
  nor_conv_3x3: (channels, stride, affine) => new NormalConv([channels, channels], 3, { stride, affine }),
};

/** Standard normal numbers of the output's size, drawn anew in each pass; no gradient passes. */
class Noise extends Layer {
  readonly stride: number;

  constructor(stride: number) {
    super();
    this.stride = stride;
  }

  forward(x: Tensor): Tensor {
    const [images, channels, ...size] = x.shape;
    const shape = [images, channels, ...size.map((side) => Math.ceil(side / this.stride))];
    return randn(shape, { dtype: x.dtype, device: x.device });
  }
}

const added = new Map<string, OperationBuilder>([["noise", (_channels, stride) => new Noise(stride)]]);

/** The builder of a candidate operation, published or a plugin's; throws for a name that is neither. */
export function operationBuilder(name: Primitive): OperationBuilder {
  const builder = isPublished(name) ? OPERATIONS[name] : added.get(name);
  if (!builder) throw new RangeError(`there is no operation ${name}; load the plugin that adds it`);
  return builder;
}

/** Adds the builder of a plugin's operation; its name must be free. */
export function addOperation(name: string, builder: OperationBuilder): void {
  added.set(name, builder);
}
