// The mixed operation (DARTS, equation 2): every candidate on an edge, weighted and summed.
import { BatchNorm2d } from "../nn/layers.ts";
import { type Layer, Module, Sequential } from "../nn/module.ts";
import { aten } from "../tensor/aten.ts";
import { scope } from "../tensor/scope.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { operationBuilder, Zero } from "./operations.ts";
import { isPublished, type Primitive } from "./primitives.ts";

/** Where an edge stands and what it may do: what an edge of a supernet is built from. */
export interface EdgeContext {
  readonly channels: number;
  readonly stride: number;
  readonly primitives: readonly Primitive[];
  /** Columns of the primitives that stand on this edge; absent: all. */
  readonly candidates?: readonly number[] | undefined;
  /** Whether pooling has batch norm behind it; absent: yes. */
  readonly poolNorm?: boolean;
  /** Index of the edge in its cell, counted node by node. */
  readonly edge: number;
  readonly reduction: boolean;
}

/** An edge of the supernet: maps its input under the weights of the candidates, [operations]. */
export abstract class EdgeModule extends Module {
  /** `active` lists the candidates to evaluate; absent: all. */
  abstract forward(x: Tensor, weights: Tensor, active?: readonly number[]): Tensor;
}

/**
 * A candidate as the supernet holds it: without scale and shift, published pooling followed by batch normalisation
 * where the space has that.
 */
export function supernetOperation(
  primitive: Primitive,
  { channels, stride, poolNorm = true }: Pick<EdgeContext, "channels" | "stride" | "poolNorm">,
): Layer {
  const operation = operationBuilder(primitive)(channels, stride, false);
  return poolNorm && isPublished(primitive) && UNNORMALISED.includes(primitive)
    ? new Sequential(operation, new BatchNorm2d(channels, { affine: false }))
    : operation;
}

const UNNORMALISED: readonly Primitive[] = ["max_pool_3x3", "avg_pool_3x3"];

/** Σₖ weights[k] · opₖ(x). */
export class MixedOp extends EdgeModule {
  /** By column; undefined where the edge does not have the candidate. */
  readonly _ops: readonly (Layer | undefined)[];
  readonly stride: number;

  constructor(
    { primitives, candidates, ...edge }: EdgeContext,
    create: (primitive: Primitive) => Layer = (primitive) => supernetOperation(primitive, edge),
  ) {
    super();
    this.stride = edge.stride;
    this._ops = primitives.map((primitive, k) =>
      candidates && !candidates.includes(k) ? undefined : create(primitive),
    );
  }

  /** Columns whose operation is not what the kernels know by the primitive's name. */
  get ownOperations(): readonly number[] {
    return [];
  }

  forward(x: Tensor, weights: Tensor, active?: readonly number[]): Tensor {
    return scope(() => {
      let sum: Tensor | undefined;
      for (const k of active ?? this._ops.keys()) {
        const operation = this._ops[k];
        // Zero adds nothing, and its weight's gradient is zero: it takes part in the softmax only.
        if (!operation || operation instanceof Zero) continue;
        const value = operation.forward(x);
        const weight = weights.select(0, k);
        sum = sum === undefined ? value.mul(weight) : aten.addcmul.default(sum, value, weight);
      }
      return sum ?? new Zero(this.stride).forward(x);
    });
  }
}
