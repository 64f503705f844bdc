// Clipping of a gradient's global norm, as PyTorch's clip_grad_norm_.
import { aten } from "../tensor/aten.ts";
import { noGrad } from "../tensor/autograd.ts";
import { scope } from "../tensor/scope.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Gradients } from "./optimizer.ts";

/** The L2 norm of all gradients taken together. */
export function globalNorm(gradients: Gradients): number {
  return scope(() => {
    const norms = gradients
      .filter((g): g is Tensor => g !== undefined)
      .map((g) => aten.linalg_vector_norm.default(g, 2));
    return norms.length === 0 ? 0 : aten.linalg_vector_norm.default(aten.stack.default(norms, 0), 2).item();
  });
}

/**
 * Scales the gradients in place so that their global norm is at most `maxNorm` (0: leaves them alone).
 * Returns the norm before.
 */
export function clipGradNorm(gradients: Gradients, maxNorm: number): number {
  const norm = globalNorm(gradients);
  // PyTorch's 1e-6 in the denominator belongs to the published numbers.
  const factor = maxNorm / (norm + 1e-6);
  if (maxNorm > 0 && factor < 1) {
    noGrad(() => {
      for (const gradient of gradients) if (gradient) aten.mul_.Scalar(gradient, factor).dispose();
    });
  }
  return norm;
}
