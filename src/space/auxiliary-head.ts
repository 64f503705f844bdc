// The auxiliary classifier of the derived network, on the output of the cell at two thirds of the depth.
import { AvgPool2d, BatchNorm2d, Conv2d, Linear, ReLU } from "../nn/layers.ts";
import { Layer, Sequential } from "../nn/module.ts";
import { aten } from "../tensor/aten.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** Shape of an auxiliary head. */
export interface AuxiliaryHeadOptions {
  readonly inChannels: number;
  readonly classes: number;
  /** Height and width of the feature map it sees: 8 × 8 for CIFAR-10, 7 × 7 for ImageNet. */
  readonly size: readonly [height: number, width: number];
  /** The ImageNet head has no second batch normalisation: left out in the paper's experiments, so left out here. */
  readonly secondNorm: boolean;
}

/**
 * Pools the feature map to 2×2, then two convolutions and a classifier. The pool is 5×5 with the stride that
 * gives 2×2: 3 for the published 8×8, 2 for the published 7×7, and the same rule for every other size, along
 * each axis.
 */
export class AuxiliaryHead extends Layer {
  readonly features: Sequential;
  readonly classifier: Linear;

  constructor({ inChannels, classes, size, secondNorm }: AuxiliaryHeadOptions) {
    super();
    if (Math.min(...size) < 2) {
      throw new RangeError(`the auxiliary head needs a feature map of at least 2×2, got ${size.join("×")}`);
    }
    const [height, width] = size.map((side) => Math.min(5, side - 1));
    this.features = new Sequential(
      new ReLU(),
      new AvgPool2d([height, width], { stride: [size[0] - height, size[1] - width] }),
      new Conv2d(inChannels, 128, 1),
      new BatchNorm2d(128),
      new ReLU(),
      new Conv2d(128, 768, 2),
      ...(secondNorm ? [new BatchNorm2d(768)] : []),
      new ReLU(),
    );
    this.classifier = new Linear(768, classes);
  }

  forward(x: Tensor): Tensor {
    return this.classifier.forward(aten.flatten.using_ints(this.features.forward(x), 1));
  }
}
