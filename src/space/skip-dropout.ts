// Dropout on skip connections in the supernet (P-DARTS: Chen, Xie, Wu, Tian, ICCV 2019, section 3.3.1): single numbers
// are dropped after the identity. As in the released code the halving skip of stride 2 has none.
import { Identity, Layer, Sequential } from "../nn/module.ts";
import { aten } from "../tensor/aten.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { type EdgeContext, MixedOp, supernetOperation } from "./mixed-op.ts";
import type { Primitive } from "./primitives.ts";

/** Drops single numbers in training and scales the others, so that the mean stays. */
class Dropout extends Layer {
  readonly rate: () => number;

  constructor(rate: () => number) {
    super();
    this.rate = rate;
  }

  forward(x: Tensor): Tensor {
    return this.training ? aten.dropout.default(x, this.rate(), true) : x;
  }
}

/** A mixed operation whose skip connection, where it is the identity, is followed by dropout. */
export class SkipDropoutOp extends MixedOp {
  readonly #dropped: readonly number[];

  /** `rate` is asked for in every pass. */
  constructor(context: EdgeContext, rate: () => number) {
    const { stride, primitives } = context;
    const drops = (primitive: Primitive) => stride === 1 && primitive === "skip_connect";
    super(context, (primitive) =>
      drops(primitive)
        ? new Sequential(new Identity(), new Dropout(rate))
        : supernetOperation(primitive, context),
    );
    this.#dropped = primitives.flatMap((primitive, k) => (drops(primitive) ? [k] : []));
  }

  override get ownOperations(): readonly number[] {
    return this.#dropped;
  }
}
