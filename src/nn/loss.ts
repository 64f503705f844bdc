// Losses and the accuracies reported beside them.
import { aten } from "../tensor/aten.ts";
import type { Tensor } from "../tensor/tensor.ts";

const MEAN = 1;
const NO_CLASS = -100;

/**
 * Mean cross-entropy of `logits` [N, classes] at the class indices `targets` [N] (int64).
 * Label smoothing mixes the one-hot target with the uniform one, as PyTorch's cross_entropy.
 */
export function crossEntropy(logits: Tensor, targets: Tensor, { labelSmoothing = 0 } = {}): Tensor {
  return aten.cross_entropy_loss.default(logits, targets, null, MEAN, NO_CLASS, labelSmoothing);
}

/** How many rows of `logits` have their target among the `k` largest. */
export function topCorrect(logits: Tensor, targets: Tensor, k: number): number {
  const classes = logits.shape[1];
  const [values, best] = aten.topk.default(logits, Math.min(k, classes), 1, true, true);
  values.dispose();
  return aten.eq.Tensor(best, aten.unsqueeze.default(targets, 1)).sum().item();
}
