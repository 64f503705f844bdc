// A stem on the fused kernels (native/kernels/stem.h): a 3×3 convolution and its normalisation, into blocks at once.
import { BatchNorm2d, Conv2d } from "../nn/layers.ts";
import { type Layer, Sequential } from "../nn/module.ts";
import { operator } from "../tensor/aten.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { BlockedImages } from "./blocked.ts";
import { fusable } from "./fused-cell.ts";

/**
 * What the stem makes of images [N, planes, H, W], or undefined where the kernels do not cover it, or the images need a
 * gradient. The layers stay what they are; libtorch's operators are the oracle.
 */
export function forwardFusedStem(stem: Layer, images: Tensor): BlockedImages | undefined {
  const layers = stem instanceof Sequential ? stem.layers : [];
  const [convolution, norm] = layers;
  if (layers.length !== 2 || !(convolution instanceof Conv2d) || !(norm instanceof BatchNorm2d))
    return undefined;
  const { weight } = convolution;
  if (!isCovered(convolution) || !fusable(images) || !fusable(weight) || images.requiresGrad)
    return undefined;
  const blocks = operator("darts::stem")(
    images,
    weight,
    norm.weight ?? null,
    norm.bias ?? null,
    norm.running_mean,
    norm.running_var,
    norm.num_batches_tracked,
    norm.training,
    norm.momentum,
    norm.eps,
  ) as Tensor;
  return new BlockedImages(blocks, weight.shape[0]);
}

/** Whether it reads 3×3 pixels around each, of all planes. */
function isCovered({ weight, bias, stride, padding, dilation, groups }: Conv2d): boolean {
  const isOne = (size: number) => size === 1;
  return (
    weight.shape[2] === 3 &&
    weight.shape[3] === 3 &&
    !bias &&
    [...stride, ...padding, ...dilation, groups].every(isOne)
  );
}
