// Images in the layout of the fused kernels (native/kernels/layout.h), in which cells hand their states to one another.
import { globalAveragePool } from "../nn/layers.ts";
import { aten, operator } from "../tensor/aten.ts";
import { scope } from "../tensor/scope.ts";
import type { Tensor } from "../tensor/tensor.ts";

/**
 * Images [N, parts·channels, H, W] whose channels lie in blocks of a vector's lanes. A part is a state of the cell that
 * made them, padded to whole blocks. Float32 on the CPU. A class of its own, so that nobody takes its tensor for images.
 */
export class BlockedImages {
  /** [parts, N, blocks, H, W, lanes]; lanes that only pad a part are zeros. A cell that reads them may pass on its own. */
  blocks: Tensor;
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

  /** Images in the batch. */
  get count(): number {
    return this.blocks.shape[1];
  }

  /** One part: a view, not a copy. */
  part(index: number): BlockedImages {
    return new BlockedImages(aten.narrow.default(this.blocks, 0, index, 1), this.channels);
  }

  /** [N, parts·channels, H, W], laid out channels last. */
  toImages(): Tensor {
    return operator("darts::from_blocks")(this.blocks, this.channels) as Tensor;
  }

  /** Mean over height and width, [N, parts·channels]. */
  globalAverage(): Tensor {
    return scope(() => {
      const [parts, images, blocks, , , lanes] = this.blocks.shape;
      // Part by part: of more than 32768 values libtorch takes means on several threads, and waking them takes longer.
      const means = Array.from({ length: parts }, (_, i) => {
        const part = aten.mean.dim(aten.select.int(this.blocks, 0, i), [2, 3]);
        return aten.slice.Tensor(part.reshape([images, blocks * lanes]), 1, 0, this.channels);
      });
      return aten.cat.default(means, 1);
    });
  }
}

/** Images in either layout: cells compute in both, and hand on the one that they were given. */
export type Images = Tensor | BlockedImages;

/** The images in blocks. */
export function toBlocked(images: Images): BlockedImages {
  return images instanceof BlockedImages ? images : BlockedImages.from(images);
}

/** The images as a tensor of libtorch, [N, C, H, W]. */
export function toImages(images: Images): Tensor {
  return images instanceof BlockedImages ? images.toImages() : images;
}

/** Mean over height and width, [N, C]. */
export function averageOf(images: Images): Tensor {
  return images instanceof BlockedImages ? images.globalAverage() : globalAveragePool(images);
}
