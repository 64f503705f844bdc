// Samples of one candidate an edge that gradients pass through: the concrete (Gumbel-softmax) distribution of SNAS
// (Xie et al., ICLR 2019), its straight-through form of GDAS (Dong, Yang, CVPR 2019), and its density.
import type { Generator } from "../random/generator.ts";
import { aten } from "../tensor/aten.ts";
import { noGrad } from "../tensor/autograd.ts";
import { type Tensor, tensor } from "../tensor/tensor.ts";

/** Gumbel(0, 1) noise of the shape, element type and device of `like`: −log −log of uniform numbers. */
export function gumbelNoise(like: Tensor, random: Generator): Tensor {
  const { shape, dtype, device, numel } = like;
  const noise = Array.from({ length: numel }, () => -Math.log(-Math.log(positiveUniform(random))));
  return tensor(noise, shape, { dtype, device });
}

/** A uniform number in (0, 1): zero, of which there is no logarithm, is drawn again. */
function positiveUniform(random: Generator): number {
  for (;;) {
    const u = random.uniform();
    if (u > 0) return u;
  }
}

/** softmax((logits + noise) / temperature) over the last dimension: a soft sample for each row. */
export function concreteSample(logits: Tensor, noise: Tensor, temperature: number): Tensor {
  return logits.add(noise).div(temperature).softmax(-1);
}

/** One-hot at each row's largest value, with the gradient of the soft sample `q`: onehot − sg(q) + q. */
export function straightThrough(q: Tensor): Tensor {
  const hard = noGrad(() => {
    const best = aten.argmax.default(q, -1, true);
    return aten.scatter.value(aten.zeros_like.default(q), -1, best, 1);
  });
  return hard.sub(q.detach()).add(q);
}

/**
 * Log density of the sample `z` under `logits`, for each row of n candidates:
 * log (n−1)! + (n−1) log τ + Σₖ [aₖ − (τ+1) log zₖ] − n log Σₖ exp(aₖ − τ log zₖ).
 */
export function concreteLogDensity(logits: Tensor, z: Tensor, temperature: number): Tensor {
  const n = logits.shape.at(-1)!;
  let logFactorial = 0;
  for (let k = 2; k < n; k++) logFactorial += Math.log(k);
  const logZ = aten.log.default(z);
  const terms = aten.sum.dim_IntList(logits.sub(logZ.mul(temperature + 1)), [-1]);
  const normaliser = aten.logsumexp.default(logits.sub(logZ.mul(temperature)), [-1]);
  return terms.sub(normaliser.mul(n)).add(logFactorial + (n - 1) * Math.log(temperature));
}
