// Images in blocks: there and back, and their gradients, for both layouts of libtorch.
import assert from "node:assert/strict";
import { test } from "node:test";
import { globalAveragePool } from "../../src/nn/layers.ts";
import { BlockedImages } from "../../src/space/blocked.ts";
import { aten, operator } from "../../src/tensor/aten.ts";
import { grad } from "../../src/tensor/autograd.ts";
import { setThreads } from "../../src/tensor/runtime.ts";
import { ones, Parameter, randn, type Tensor, zeros } from "../../src/tensor/tensor.ts";
import { assertClose } from "../support/assert-close.ts";
import { leakFree } from "../support/leak-free.ts";

const channelsLast = (images: Tensor) => aten.clone.default(images, "channels_last");

/** Images, channels of a part, parts, height, width. */
const SHAPES: readonly (readonly [number, number, number, number, number])[] = [
  [2, 16, 1, 4, 8],
  [1, 16, 3, 8, 8],
  [3, 20, 4, 5, 7],
  [2, 1, 1, 1, 1],
  [2, 3, 5, 6, 3],
  [1, 36, 4, 7, 7],
  [5, 48, 1, 3, 1],
  [2, 7, 2, 1, 9],
];

for (const [images, channels, parts, height, width] of SHAPES) {
  const shape = [images, parts * channels, height, width];
  test(
    `images of ${shape.join("×")} in ${parts} parts come back as they were, from both layouts`,
    leakFree(() => {
      for (const layout of [(x: Tensor) => x, channelsLast]) {
        for (const threads of [1, 3]) {
          setThreads(threads);
          const x = randn(shape);
          const blocked = BlockedImages.from(layout(x), parts);
          assert.deepEqual(blocked.toImages().toNumbers(), x.toNumbers());
          // Unused lanes are zeros: the squares' sum is that of the images.
          assertClose(blocked.blocks.mul(blocked.blocks).sum(), x.mul(x).sum(), 1e-6, "sum of squares");
          assertClose(blocked.globalAverage(), globalAveragePool(x), 1e-6, "mean");
        }
      }
      setThreads(1);
    }),
  );
}

test(
  "a gradient goes through conversions in both directions",
  leakFree(() => {
    using x = new Parameter(randn([2, 10, 3, 5]));
    const factor = randn([2, 10, 3, 5]);
    const [there] = grad([BlockedImages.from(x, 2).toImages().mul(factor).sum()], [x]);
    assert.deepEqual(there!.toNumbers(), factor.toNumbers());
    const [last] = grad([BlockedImages.from(x, 2).toImages().mul(channelsLast(factor)).sum()], [x]);
    assert.deepEqual(last!.toNumbers(), factor.toNumbers());
    const [mean] = grad([BlockedImages.from(x, 2).globalAverage().sum()], [x]);
    assertClose(mean!, ones([2, 10, 3, 5]).div(15), 1e-6, "mean");
  }),
);

test(
  "conversions have second derivatives",
  leakFree(() => {
    using x = new Parameter(randn([2, 10, 3, 5]));
    const images = BlockedImages.from(x, 2).toImages();
    const [first] = grad([images.mul(images).sum()], [x], { createGraph: true });
    const [second] = grad([first!.mul(first!).sum()], [x]);
    assertClose(second!, x.mul(8), 1e-6, "second derivative of x²");
  }),
);

test(
  "wrong conversions are refused",
  leakFree(() => {
    assert.throws(() => BlockedImages.from(zeros([2, 5, 3, 3]), 2), /5 channels are not 2 equal parts/);
    assert.throws(() => BlockedImages.from(zeros([2, 5, 3])), /expected \[N, channels, H, W\]/);
    assert.throws(() => BlockedImages.from(zeros([1, 1, 1, 1], { dtype: "float64" })), /expected float32/);
    const { blocks } = BlockedImages.from(zeros([1, 4, 2, 2]));
    assert.throws(() => operator("darts::from_blocks")(blocks, 40), /parts of 40 channels do not fit/);
    assert.throws(
      () => operator("darts::from_blocks")(zeros([1, 4, 2, 2]), 4),
      /expected \[parts, N, blocks/,
    );
  }),
);
