// Drop-path (Larsson et al., ICLR 2017) as DARTS trains its derived networks: whole paths of single images are dropped.
import { aten } from "../tensor/aten.ts";
import { noGrad } from "../tensor/autograd.ts";
import { cat, ones, type Tensor, zeros } from "../tensor/tensor.ts";

/** How paths are dropped in one forward pass. */
export interface DropPath {
  /** Probability that a path of an image is dropped; 0 drops nothing. */
  readonly probability: number;
  /** Draws the mask of one path of N images, [N, 1, 1, 1] of zeros and ones; by default from libtorch's generator. */
  readonly draw?: (path: Tensor, keepProbability: number) => Tensor;
}

/** `x` with each image's path kept with probability 1 − p and then scaled by 1/(1 − p), so that the mean stays. */
export function dropPath(x: Tensor, { probability, draw = drawMask }: DropPath): Tensor {
  if (probability === 0) return x;
  const keepProbability = 1 - probability;
  return x.div(keepProbability).mul(draw(x, keepProbability));
}

/**
 * What {@link dropPath} multiplies paths by, [paths, N], for N images: the same draws in the same order, of those paths
 * that `drops` says yes to. The others are kept.
 */
export function pathScales(
  { paths, images }: { readonly paths: number; readonly images: number },
  { probability, draw = drawMask }: DropPath,
  drops: (path: number) => boolean = () => true,
): Tensor {
  const keepProbability = 1 - probability;
  const kept = ones([images, 1, 1, 1]);
  const scales = Array.from({ length: paths }, (_, path) =>
    drops(path) ? draw(kept, keepProbability).div(keepProbability) : kept,
  );
  return cat(scales, 0).reshape([paths, images]);
}

function drawMask(path: Tensor, keepProbability: number): Tensor {
  return noGrad(() => {
    const mask = zeros([path.shape[0], 1, 1, 1], { dtype: path.dtype, device: path.device });
    return aten.bernoulli_.float(mask, keepProbability);
  });
}
