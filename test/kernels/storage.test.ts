// Cells that keep bfloat16 for backward: what they store is rounded as libtorch rounds, and nothing else is.
import assert from "node:assert/strict";
import { test } from "node:test";
import { UserError } from "../../src/errors.ts";
import type { Layer } from "../../src/nn/module.ts";
import { countTensors } from "../../src/run/rehearse.ts";
import { BlockedImages } from "../../src/space/blocked.ts";
import { fuseCell, type Storage } from "../../src/space/fused-cell.ts";
import { DilConv, SepConv } from "../../src/space/operations.ts";
import { partialEdges } from "../../src/space/partial-channels.ts";
import { DARTS_PRIMITIVES, type Primitive } from "../../src/space/primitives.ts";
import { Supernet, type SupernetOptions } from "../../src/space/supernet.ts";
import { aten } from "../../src/tensor/aten.ts";
import { grad, noGrad } from "../../src/tensor/autograd.ts";
import { seed, setThreads } from "../../src/tensor/runtime.ts";
import { scope } from "../../src/tensor/scope.ts";
import { Parameter, randn, type Tensor } from "../../src/tensor/tensor.ts";
import { assertClose } from "../support/assert-close.ts";
import { leakFree } from "../support/leak-free.ts";

const SUPERNET: SupernetOptions = {
  channels: 16,
  cells: 3,
  nodes: 4,
  primitives: DARTS_PRIMITIVES,
  stemMultiplier: 3,
  imageChannels: 3,
  classes: 5,
  kernels: "fused",
};

/** libtorch's rounding to bfloat16, in the type of the values. */
const rounded = (values: Tensor) => values.to({ dtype: "bfloat16" }).to({ dtype: values.dtype });

/** The same with the gradient of the values as they were. */
const roundedInPassing = (values: Tensor) => values.add(rounded(values).sub(values).detach());

/** Images [N, C, H, W] by a cell of one edge on the kernels. */
function oneEdge(
  x: Tensor,
  [primitive, module]: readonly [Primitive, Layer],
  pass: { training: boolean; storage: Storage },
) {
  const [, channels] = x.shape;
  const edges = [{ source: 0, target: 2, operations: [{ primitive, module }] }];
  const cell = fuseCell({ channels, nodes: 1, reduction: false, concat: [2], edges })!;
  return cell.forward(BlockedImages.from(x), BlockedImages.from(x), pass).toImages();
}

const integers = (shape: readonly number[], most: number) =>
  aten.clamp.default(aten.round.default(randn(shape).mul(most / 2)), -most, most);

test(
  "what a convolution gives is stored as the nearest bfloat16, ties to even",
  leakFree(() => {
    for (const channels of [3, 16, 20]) {
      seed(1);
      using unit = new DilConv(channels, 3, 1, false).train(false);
      for (const weight of unit.parameters()) noGrad(() => weight.copy_(integers(weight.shape, 8)));
      // Running statistics of mean 0 and variance 1 - ε: what is stored passes the normalisation as it is.
      const variance = [...unit.namedBuffers()].find(([name]) => name.endsWith("running_var"))![1];
      noGrad(() => variance.copy_(aten.full_like.default(variance, 1 - 1e-5)));
      const x = integers([3, channels, 7, 5], 9);
      const [fp32, bf16] = (["fp32", "bf16"] as const).map((storage) =>
        oneEdge(x, ["dil_conv_3x3", unit], { training: false, storage }),
      );
      const exact = aten.round.default(unit.forward(x));
      assert.deepEqual(fp32!.toNumbers(), exact.toNumbers());
      assert.deepEqual(bf16!.toNumbers(), rounded(exact).toNumbers());
      // Numbers above 256 have no place for their last bit, and half of the odd ones lie in the middle.
      assert.ok(exact.toNumbers().filter((value) => Math.abs(value) > 256 && value % 2 !== 0).length > 20);
    }
  }),
);

/** Output and gradients of a separable convolution in float64 whose stored tensors are rounded. */
function oracle(x: Tensor, module: SepConv, cotangent: Tensor): Tensor[] {
  const { layers } = module.op;
  const through = (from: number, to: number, value: Tensor) =>
    layers.slice(from, to).reduce((input, layer) => layer.forward(input), value);
  const weights = (from: number, to: number) => layers.slice(from, to).flatMap((layer) => layer.parameters());
  const first = through(3, 4, roundedInPassing(through(0, 3, x)));
  using middle = new Parameter(first.detach());
  const output = through(7, 8, roundedInPassing(through(4, 7, middle)));
  const [atMiddle, ...second] = grad([output], [middle, ...weights(4, 8)], { gradOutputs: [cotangent] });
  const below = grad([first], [x, ...weights(0, 4)], { gradOutputs: [rounded(atMiddle!)] });
  return [output, ...below, ...second].map((value) => value!);
}

test(
  "a separable convolution is what libtorch makes of rounded tensors, and its gradients too",
  leakFree(() => {
    for (const channels of [4, 16, 20]) {
      for (const affine of [false, true]) {
        seed(2);
        using narrow = new SepConv(channels, 3, 1, affine);
        using wide = new SepConv(channels, 3, 1, affine);
        wide.loadStateDict(narrow.stateDict());
        wide.to({ dtype: "float64" });
        // Few values: none of them lies so near the middle of two that float32's own rounding decides.
        const values = randn([2, channels, 3, 4]);
        const cotangent = randn(values.shape);
        const run = (storage: Storage) => {
          using x = new Parameter(values);
          const output = oneEdge(x, ["sep_conv_3x3", narrow], { training: true, storage });
          return [output, ...grad([output], [x, ...narrow.parameters()], { gradOutputs: [cotangent] })].map(
            (t) => t!,
          );
        };
        using x = new Parameter(values.to({ dtype: "float64" }));
        const expected = oracle(x, wide, cotangent.to({ dtype: "float64" }));
        for (const [i, got] of run("bf16").entries())
          assertClose(got.toNumbers(), expected[i]!.toNumbers(), 2e-6, `${channels} channels, result ${i}`);
        // The oracle rounds: what keeps float32 is far from it.
        assert.throws(() =>
          assertClose(run("fp32")[1]!.toNumbers(), expected[1]!.toNumbers(), 1e-3, "float32"),
        );
      }
    }
  }),
);

/** Bytes of all gradients of a supernet that keeps bfloat16. */
function gradientBytes({
  share,
  recompute = false,
  threads,
}: {
  share?: number;
  recompute?: boolean;
  threads: number;
}) {
  setThreads(threads, { deterministic: true });
  seed(3);
  const createEdge = share === undefined ? undefined : partialEdges(share);
  using net = new Supernet({ ...SUPERNET, createEdge, recompute, storage: "bf16" });
  const mixture = {
    operations: randn([14, 8]).softmax(1),
    edges: share === undefined ? undefined : randn([14]),
  };
  const logits = net.forward(randn([5, 3, 9, 8]), { normal: mixture, reduce: mixture });
  return grad([logits], net.parameters(), { gradOutputs: [randn(logits.shape)] }).map((g) => g?.toNumbers());
}

for (const share of [undefined, 4]) {
  test(
    `${share === undefined ? "all" : "partial"} channels in bfloat16: the same bytes on any threads, and computed again`,
    leakFree(() => {
      const once = gradientBytes({ share, threads: 1 });
      for (const threads of [2, 3]) assert.deepEqual(gradientBytes({ share, threads }), once);
      assert.deepEqual(gradientBytes({ share, threads: 1, recompute: true }), once);
    }),
  );
}

test(
  "a supernet that keeps bfloat16 takes less than 0.7 of the memory",
  leakFree(() => {
    const [wide, narrow] = (["fp32", "bf16"] as const).map((storage) => {
      using net = new Supernet({ ...SUPERNET, cells: 6, storage });
      const images = randn([32, 3, 16, 16]);
      const mixture = { operations: randn([14, 8]).softmax(1) };
      const loss = () => net.forward(images, { normal: mixture, reduce: mixture }).sum();
      return countTensors(() => scope(() => void grad([loss()], net.parameters()))).bytes;
    });
    assert.ok(narrow! < 0.7 * wide!, `${narrow} of ${wide} bytes`);
  }),
);

test(
  "cells of libtorch's operators keep what libtorch keeps, and say so",
  leakFree(() => {
    using net = new Supernet({ ...SUPERNET, kernels: "composite", storage: "bf16" });
    const mixture = { operations: randn([14, 8]).softmax(1) };
    const forward = () => net.forward(randn([2, 3, 8, 8]), { normal: mixture, reduce: mixture });
    assert.throws(
      forward,
      (error) =>
        error instanceof UserError && /storage is bf16, but libtorch's operators/.test(error.message),
    );
  }),
);
