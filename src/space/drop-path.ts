// Drop-path (Larsson et al., ICLR 2017) as DARTS trains its derived networks: whole paths of single images are dropped.
import { aten } from "../tensor/aten.ts";
import { noGrad } from "../tensor/autograd.ts";
import { type Tensor, zeros } from "../tensor/tensor.ts";

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

/** What {@link dropPath} multiplies a path by, [N, 1, 1, 1]: the same draw, for paths of N images that are not there yet. */
export function pathScale(images: Tensor, { probability, draw = drawMask }: DropPath): Tensor {
  const keepProbability = 1 - probability;
  return draw(images, keepProbability).div(keepProbability);
}

function drawMask(path: Tensor, keepProbability: number): Tensor {
  return noGrad(() => {
    const mask = zeros([path.shape[0], 1, 1, 1], { dtype: path.dtype, device: path.device });
    return aten.bernoulli_.float(mask, keepProbability);
  });
}
