// Images in the layout of the fused kernels (native/kernels/layout.h), in which cells hand their states to one another.
import { aten, operator } from "../tensor/aten.ts";
import { scope } from "../tensor/scope.ts";
import type { Tensor } from "../tensor/tensor.ts";

/**
 * Images [N, parts·channels, H, W] whose channels lie in blocks of a vector's lanes. A part is a state of the cell that
 * made them, padded to whole blocks. Float32 on the CPU. A class of its own, so that nobody takes its tensor for images.
 */
export class BlockedImages {
  /** [parts, N, blocks, H, W, lanes]; lanes that only pad a part are zeros. */
  readonly blocks: Tensor;
  /** Channels of each part. */
  readonly channels: number;

  constructor(blocks: Tensor, channels: number) {
    this.blocks = blocks;
    this.channels = channels;
  }

  /** Images [N, parts·channels, H, W], contiguous or channels last (which is quicker). */
  static from(images: Tensor, parts = 1): BlockedImages {
    return new BlockedImages(operator("darts::to_blocks")(images, parts) as Tensor, images.shape[1] / parts);
  }

  get parts(): number {
    return this.blocks.shape[0];
  }

  /** [N, parts·channels, H, W], laid out channels last. */
  toImages(): Tensor {
    return operator("darts::from_blocks")(this.blocks, this.channels) as Tensor;
  }

  /** Mean over height and width, [N, parts·channels]. */
  globalAverage(): Tensor {
    return scope(() => {
      const [parts, images, blocks, , , lanes] = this.blocks.shape;
      const means = aten.mean.dim(this.blocks, [3, 4]).reshape([parts, images, blocks * lanes]);
      const channels = aten.slice.Tensor(means, 2, 0, this.channels);
      return aten.permute.default(channels, [1, 0, 2]).reshape([images, parts * this.channels]);
    });
  }
}
