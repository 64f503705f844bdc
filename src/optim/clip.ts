// Clipping of a gradient's global norm, as PyTorch's clip_grad_norm_.
import { aten } from "../tensor/aten.ts";
import { noGrad } from "../tensor/autograd.ts";
import { scope } from "../tensor/scope.ts";
import type { Gradients } from "./optimizer.ts";

/** The L2 norm of all gradients taken together. */
export function globalNorm(gradients: Gradients): number {
  return scope(() => {
    const there = gradients.filter((gradient) => gradient !== undefined);
    if (there.length === 0) return 0;
    const norms = aten._foreach_norm.Scalar(there, 2);
    return aten.linalg_vector_norm.default(aten.stack.default(norms, 0), 2).item();
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
    noGrad(() =>
      aten._foreach_mul_.Scalar(
        gradients.filter((gradient) => gradient !== undefined),
        factor,
      ),
    );
  }
  return norm;
}
