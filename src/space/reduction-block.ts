// Blocks that stand between a space's cells and halve height and width, where no searched cell does: by name, as built in
// src/space/skeleton.ts for their cost.
import { Conv2d } from "../nn/layers.ts";
import { Layer, Module } from "../nn/module.ts";
import { aten } from "../tensor/aten.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Images } from "./blocked.ts";
import { forwardCell } from "./fused-cell.ts";
import { NormalConv } from "./operations.ts";
import type { NetworkPlace } from "./supernet.ts";

/** Builds a block from [N, inChannels, H, W] to [N, outChannels, H/2, W/2], rounded up. */
export type BlockBuilder = (inChannels: number, outChannels: number) => Layer;

/**
 * The residual block of NAS-Bench-201 (as in ResNet, without an activation at its end): two units of ReLU, 3×3
 * convolution and batch norm, of which the first halves the size, plus a 1×1 convolution of the 2×2 means.
 */
export class ResidualBlock extends Layer {
  readonly conv_a: NormalConv;
  readonly conv_b: NormalConv;
  readonly downsample: Conv2d;

  constructor(inChannels: number, outChannels: number) {
    super();
    this.conv_a = new NormalConv([inChannels, outChannels], 3, { stride: 2, affine: true });
    this.conv_b = new NormalConv([outChannels, outChannels], 3, { stride: 1, affine: true });
    this.downsample = new Conv2d(inChannels, outChannels, 1);
  }

  forward(x: Tensor): Tensor {
    // Rounded up, as the convolution of stride 2 rounds: at the border of odd sizes the mean is that of what is there.
    const means = aten.avg_pool2d.default(x, 2, 2, 0, true, false);
    return this.conv_b.forward(this.conv_a.forward(x)).add(this.downsample.forward(means));
  }
}

const blocks = new Map<string, BlockBuilder>([
  ["residual", (inChannels, outChannels) => new ResidualBlock(inChannels, outChannels)],
]);

/** Adds the builder of a plugin's block; its name must be free. */
export function addBlock(name: string, builder: BlockBuilder): void {
  blocks.set(name, builder);
}

/** A block in the place of a cell: it reads the cell before it. */
export class BlockCell extends Module {
  readonly block: Layer;
  readonly kernels = "composite";
  readonly fused = false;

  constructor(name: string, { inputs, outputChannels }: Pick<NetworkPlace, "inputs" | "outputChannels">) {
    super();
    const builder = blocks.get(name);
    if (!builder) throw new RangeError(`there is no reduction block ${name}; load the plugin that adds it`);
    this.block = builder(inputs[1], outputChannels);
  }

  /** [N, C0, H, W], [N, C1, H', W'] → [N, 2·C1, H'/2, W'/2], in the layout of its inputs. */
  forward<Layout extends Images>(s0: Layout, s1: Layout): Layout {
    return forwardCell(s0, s1, {
      kernels: "auto",
      recompute: false,
      storage: "fp32",
      fused: undefined,
      pass: () => ({ training: this.training }),
      composite: (_, x) => this.block.forward(x),
      parts: 1,
    });
  }
}
