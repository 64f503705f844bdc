// Partial channel connections (PC-DARTS: Xu, Xie, Zhang, Chen, Qi, Tian, Xiong, ICLR 2020, section 3.2): on every edge
// only the first C/K channels pass through the mixed operation; a shuffle then mixes them with those that bypassed it.
// As published: always the leading channels, and candidates of C/K channels. On edges of stride 2 a 2×2 maximum halves
// the bypass; for odd sizes it rounds up, as the candidates do (the published code fails there).
import { UserError } from "../errors.ts";
import { aten } from "../tensor/aten.ts";
import { scope } from "../tensor/scope.ts";
import { cat, type Tensor } from "../tensor/tensor.ts";
import { type EdgeContext, MixedOp } from "./mixed-op.ts";

/** shuffle_K(concat(Σₖ weights[k] · opₖ(first C/K channels), the other channels)); with K = 1 a {@link MixedOp}. */
export class PartialMixedOp extends MixedOp {
  /** K: the operations see one channel in K. */
  readonly share: number;

  constructor(context: EdgeContext, share: number) {
    super({ ...context, channels: partOf(context.channels, share) });
    this.share = share;
  }

  /** [N, C, H, W] → [N, C, H', W']. */
  override forward(x: Tensor, weights: Tensor, active?: readonly number[]): Tensor {
    if (this.share === 1) return super.forward(x, weights, active);
    return scope(() => {
      const part = partOf(x.shape[1], this.share);
      const mixed = super.forward(aten.slice.Tensor(x, 1, 0, part), weights, active);
      const others = aten.slice.Tensor(x, 1, part);
      const bypass = this.stride === 1 ? others : aten.max_pool2d.default(others, 2, this.stride, 0, 1, true);
      return channelShuffle(cat([mixed, bypass], 1), this.share);
    });
  }
}

/** The `createEdge` of a supernet whose operations see one channel in `share` (the K of PC-DARTS: 4 on CIFAR-10). */
export function partialEdges(share: number): (context: EdgeContext) => PartialMixedOp {
  return (context) => new PartialMixedOp(context, share);
}

/** Channel g·(C/groups) + i comes to place groups·i + g. By hand: libtorch 1.13 has no derivative of channel_shuffle. */
function channelShuffle(x: Tensor, groups: number): Tensor {
  const [images, channels, height, width] = x.shape;
  const grouped = x.reshape([images, groups, channels / groups, height, width]);
  return aten.transpose.int(grouped, 1, 2).reshape(x.shape);
}

function partOf(channels: number, share: number): number {
  if (Number.isInteger(share) && share > 0 && channels % share === 0) return channels / share;
  throw new UserError(
    `Partial channels: got K = ${share} for cells of ${channels} channels, expected a whole number that divides them.`,
  );
}
