// The largest eigenvalue of the Hessian of a search's loss in its alphas, on one batch.
import type { TensorBatch } from "../data/batch-tensors.ts";
import type { Parameter, Tensor } from "../tensor/tensor.ts";
import { batchLoss, type LossContext } from "./batch-loss.ts";
import { drawsOf, replaying } from "./draws.ts";
import {
  differenceProduct,
  type HessianMode,
  type HessianProduct,
  largestEigenvalue,
  type PowerOptions,
  withExactProduct,
} from "./hessian.ts";
import { withBuffersRestored } from "./unrolled.ts";

/**
 * The eigenvalue for `batch` with batch statistics. All passes see the same random draws; buffers and generators are
 * as found afterwards.
 */
export function eigenvalueOn(
  batch: TensorBatch,
  mode: HessianMode,
  {
    alphas,
    buffers,
    tolerance,
    products,
    ...context
  }: LossContext &
    PowerOptions & { readonly alphas: readonly Parameter[]; readonly buffers: readonly Tensor[] },
): number {
  const size = alphas.reduce((sum, { numel }) => sum + numel, 0);
  const largest = (product: HessianProduct) => largestEigenvalue(product, size, { tolerance, products });
  const rewind = drawsOf(context);
  const again = <T>(fn: () => T) => replaying(rewind, context, fn);
  const loss = (composite: boolean) =>
    batchLoss({ ...context, microBatch: null, composite }, batch, "architecture");
  return withBuffersRestored(buffers, () => {
    if (mode === "exact") return again(() => withExactProduct(loss(true), alphas, largest));
    const product = differenceProduct(() => loss(false), alphas, context);
    return largest((vector) => again(() => product(vector)));
  });
}
