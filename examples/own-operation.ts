// A candidate operation of one's own: the inverted bottleneck of MobileNetV2 (arXiv:1801.04381), without its skip.
//   darts search --preset quick --plugin examples/own-operation.ts \
//     --space-primitives none,max_pool_3x3,skip_connect,sep_conv_3x3,bottleneck_3x3
import { BatchNorm2d, Conv2d, defineOperation, ReLU, Sequential } from "darts-nas";

const EXPANSION = 2;

export const bottleneck = defineOperation({
  name: "bottleneck_3x3",
  create(channels, stride, affine) {
    const wide = EXPANSION * channels;
    return new Sequential(
      new ReLU(),
      new Conv2d(channels, wide, 1),
      new BatchNorm2d(wide, { affine }),
      new ReLU(),
      new Conv2d(wide, wide, 3, { stride, padding: 1, groups: wide }),
      new Conv2d(wide, channels, 1),
      new BatchNorm2d(channels, { affine }),
    );
  },
  // Leave it out, and it is measured; said, `darts show` need not load libtorch for it.
  cost({ channels, affine, inputSize, outputSize }) {
    const wide = EXPANSION * channels;
    const [before, after] = [inputSize, outputSize].map(([height, width]) => height * width);
    return {
      params: 2 * channels * wide + 9 * wide + (affine ? 2 * (wide + channels) : 0),
      macs: channels * wide * before + (9 * wide + wide * channels) * after,
    };
  },
});
