// The fused stem against its layers in float64: values, gradients and running statistics, over planes, channels and sizes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { BatchNorm2d, Conv2d } from "../../src/nn/layers.ts";
import { type Layer, Sequential } from "../../src/nn/module.ts";
import { createGenerator } from "../../src/random/generator.ts";
import type { BlockedImages } from "../../src/space/blocked.ts";
import { forwardFusedStem } from "../../src/space/fused-stem.ts";
import { operator } from "../../src/tensor/aten.ts";
import { grad } from "../../src/tensor/autograd.ts";
import { seed, setThreads } from "../../src/tensor/runtime.ts";
import { scope } from "../../src/tensor/scope.ts";
import { ones, Parameter, randn, type Tensor, zeros } from "../../src/tensor/tensor.ts";
import { leakFree } from "../support/leak-free.ts";
import { withGradients } from "./composite.ts";
import { assertSameResults, type Result } from "./results.ts";

interface StemCase {
  readonly images: number;
  readonly planes: number;
  readonly channels: number;
  readonly size: readonly [number, number];
  readonly affine: boolean;
  readonly training: boolean;
}

const PUBLISHED: StemCase = {
  images: 8,
  planes: 3,
  channels: 48,
  size: [32, 32],
  affine: true,
  training: true,
};

const CASES: StemCase[] = [
  PUBLISHED,
  { ...PUBLISHED, channels: 108, images: 5, size: [9, 14] },
  { ...PUBLISHED, training: false },
  { ...PUBLISHED, planes: 1, size: [28, 28], images: 70, channels: 20 },
  { ...PUBLISHED, images: 19, size: [1, 1] },
  { ...PUBLISHED, images: 2, size: [3, 200], channels: 3 },
  ...randomCases(60),
];

function randomCases(count: number): StemCase[] {
  const generator = createGenerator(3, "stems");
  const one = (most: number) => generator.int(1, most);
  return Array.from({ length: count }, () => ({
    images: 1 + one(12),
    planes: one(5),
    channels: one(70),
    size: [one(13), one(19)] as const,
    affine: one(2) === 1,
    training: one(4) > 1,
  }));
}

/** The layers with weights and running statistics that are not those they begin with. */
function createStem({ planes, channels, affine, training }: StemCase): Sequential {
  seed(4);
  const stem = new Sequential(
    new Conv2d(planes, channels, 3, { padding: 1 }),
    new BatchNorm2d(channels, { affine }),
  );
  scope(() => {
    const state = stem.stateDict();
    for (const [name, value] of state)
      if (value.dtype === "float32")
        state.set(
          name,
          randn(value.shape)
            .mul(0.3)
            .add(name.endsWith("var") ? 2 : 0.5),
        );
    stem.loadStateDict(state);
  });
  return stem.train(training);
}

function passOf(stem: Sequential, it: StemCase, forward: (stem: Layer, images: Tensor) => Tensor): Result {
  seed(5);
  const { dtype } = stem.parameters()[0]!;
  // Far from zero: the sums for the statistics must not cancel.
  const images = randn([it.images, it.planes, ...it.size])
    .add(3)
    .to({ dtype });
  const output = forward(stem, images);
  const gradients = withGradients(output, randn(output.shape).to({ dtype }), new Map(stem.namedParameters()));
  return { output, gradients, statistics: new Map(stem.namedBuffers()) };
}

const onKernels = (stem: Layer, images: Tensor) => forwardFusedStem(stem, images)!.toImages();

for (const it of CASES) {
  const { images, planes, channels, size, affine, training } = it;
  test(
    `a stem from ${images} × ${planes} × ${size.join(" × ")} to ${channels} channels${affine ? ", affine" : ""}, in ` +
      `${training ? "training" : "evaluation"}, is its layers'`,
    leakFree(() => {
      using fused = createStem(it);
      using oracle = createStem(it).to({ dtype: "float64" });
      assertSameResults(
        passOf(fused, it, onKernels),
        passOf(oracle, it, (stem, images) => stem.forward(images)),
      );
    }),
  );
}

test(
  "a stem gives the same bytes on 1, 2, 3, 11 and 80 threads",
  leakFree(() => {
    const it = { ...PUBLISHED, images: 101, size: [7, 6] as const };
    const run = (threads: number) => {
      setThreads(threads);
      using stem = createStem(it);
      const { output, gradients, statistics } = passOf(stem, it, onKernels);
      return [output, ...gradients.values(), ...statistics.values()].map((tensor) => tensor!.toNumbers());
    };
    const once = run(1);
    for (const threads of [2, 3, 11, 80]) assert.deepEqual(run(threads), once, `${threads} threads`);
    setThreads(1);
  }),
);

test(
  "libtorch computes what the kernels' stem does not cover",
  leakFree(() => {
    using images = randn([2, 3, 8, 8]);
    using needed = new Parameter(randn([2, 3, 8, 8]));
    const found = (layers: Layer[], of: Tensor = images): BlockedImages | undefined => {
      using stem = new Sequential(...layers);
      return forwardFusedStem(stem, of);
    };
    const convolution = (options: object = {}) => new Conv2d(3, 8, 3, { padding: 1, ...options });
    assert.ok(found([convolution(), new BatchNorm2d(8)]));
    for (const options of [{ stride: 2 }, { padding: 0 }, { dilation: 2 }, { bias: true }])
      assert.equal(found([convolution(options), new BatchNorm2d(8)]), undefined, JSON.stringify(options));
    assert.equal(found([new Conv2d(3, 8, 5, { padding: 1 }), new BatchNorm2d(8)]), undefined);
    assert.equal(found([convolution(), new BatchNorm2d(8), new BatchNorm2d(8)]), undefined);
    assert.equal(found([convolution()]), undefined);
    assert.equal(
      found([convolution(), new BatchNorm2d(8)], needed),
      undefined,
      "images that need a gradient",
    );
    assert.equal(found([convolution(), new BatchNorm2d(8)], images.to({ dtype: "float64" })), undefined);
  }),
);

const REFUSALS: [string, Record<string, Tensor | null>, RegExp][] = [
  [
    "images of other planes",
    { images: zeros([2, 4, 5, 5]) },
    /weight has shape \[6, 3, 3, 3\], expected \[6, 4, 3, 3\]/,
  ],
  ["images without pixels", { images: zeros([2, 3, 0, 5]) }, /images have shape/],
  ["float64", { images: zeros([2, 3, 5, 5], { dtype: "float64" }) }, /Double|double.*expected float32/],
  ["a kernel of 5×5", { weight: zeros([6, 3, 5, 5]) }, /weight has shape/],
  ["a scale alone", { shift: null }, /one of scale and shift/],
  ["a short shift", { shift: zeros([5]) }, /shift has shape \[5\], expected \[6\]/],
  ["short statistics", { mean: zeros([5]) }, /running statistic has shape/],
  ["a counter of floats", { counter: zeros([]) }, /no counter of batches/],
  ["one value for each channel", { images: zeros([1, 3, 1, 1]) }, /more than one value per channel/],
];
for (const [what, change, message] of REFUSALS)
  test(`darts::stem refuses ${what}`, () => {
    const valid: Record<string, Tensor | null> = {
      images: zeros([2, 3, 5, 5]),
      weight: zeros([6, 3, 3, 3]),
      scale: ones([6]),
      shift: zeros([6]),
      mean: zeros([6]),
      variance: ones([6]),
      counter: zeros([], { dtype: "int64" }),
    };
    const args = Object.values({ ...valid, ...change });
    assert.throws(() => operator("darts::stem")(...args, true, 0.1, 1e-5), message);
  });

test(
  "the stem has no second derivatives, and says so",
  leakFree(() => {
    using stem = createStem(PUBLISHED);
    const output = onKernels(stem, randn([2, 3, 8, 8]));
    assert.throws(
      () => grad([output.sum()], stem.parameters(), { createGraph: true }),
      /no second derivatives/,
    );
  }),
);
