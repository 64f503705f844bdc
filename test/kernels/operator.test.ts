// darts::cell as an operator: the same bytes for any number of threads, memory that comes back, refusals of bad plans.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Identity, type Layer } from "../../src/nn/module.ts";
import { BlockedImages } from "../../src/space/blocked.ts";
import { FusedCell, fusable, fuseCell } from "../../src/space/fused-cell.ts";
import { FactorizedReduce, ReLUConvBN } from "../../src/space/operations.ts";
import { DARTS_PRIMITIVES, type Primitive } from "../../src/space/primitives.ts";
import { operator } from "../../src/tensor/aten.ts";
import { grad, noGrad } from "../../src/tensor/autograd.ts";
import { seed, setThreads } from "../../src/tensor/runtime.ts";
import { ones, Parameter, randn, type Tensor, zeros } from "../../src/tensor/tensor.ts";
import { leakFree } from "../support/leak-free.ts";
import { type Case, createEdges, fusedBody, withGradients } from "./composite.ts";

const SMALL: Case = {
  images: 13,
  channels: 20,
  height: 9,
  width: 6,
  nodes: 3,
  reduction: false,
  primitives: DARTS_PRIMITIVES,
};

/** Everything that a step with a cell gives, as numbers. */
function step(it: Case, threads: number): number[][] {
  setThreads(threads);
  seed(3);
  const edges = createEdges(it);
  const shape = [it.images, it.channels, it.height, it.width];
  using s0 = new Parameter(randn(shape));
  using s1 = new Parameter(randn(shape));
  using mixture = new Parameter(randn([edges.length, it.primitives.length]).softmax(1));
  const output = fusedBody(new FusedCell({ ...it, edges }), s0, s1, { operations: mixture });
  const inputs = [
    ["s0", s0],
    ["s1", s1],
    ["mixture", mixture],
  ] as [string, Tensor][];
  const names = edges.flatMap((edge, e) => [...edge.namedParameters(`${e} `)]);
  const gradients = withGradients(output, randn(output.shape), new Map([...inputs, ...names]));
  const statistics = edges.flatMap((edge) => edge.buffers());
  const result = [output, ...gradients.values(), ...statistics].map((tensor) => tensor!.toNumbers());
  for (const edge of edges) edge.dispose();
  return result;
}

for (const reduction of [false, true]) {
  test(
    `a ${reduction ? "reduction" : "normal"} cell gives the same bytes on 1, 2, 3 and 11 threads, and again`,
    leakFree(() => {
      const once = step({ ...SMALL, reduction }, 1);
      for (const threads of [1, 2, 3, 11]) assert.deepEqual(step({ ...SMALL, reduction }, threads), once);
      setThreads(1);
    }),
  );
}

/** An input of the operator: images [N, channels, H, W] of zeros, or what `values` makes of them. */
const blocked = (shape: readonly number[], values: (shape: readonly number[]) => Tensor = zeros) =>
  BlockedImages.from(values(shape)).blocks;

/** The arguments of a valid call of one node and two operations, by name. */
function validCall() {
  return {
    s0: blocked([2, 8, 9, 9]),
    s1: blocked([2, 6, 5, 5]),
    mixture: ones([2, 2]),
    weights: [
      zeros([2, 8, 1, 1]),
      zeros([2, 8, 1, 1]),
      zeros([4, 6, 1, 1]),
      ...Array.from({ length: 2 }, () => [zeros([4, 1, 3, 3]), zeros([4, 4, 1, 1])]).flat(),
    ],
    statistics: Array.from({ length: 4 }, () => [
      zeros([4]),
      ones([4]),
      zeros([], { dtype: "int64" }),
    ]).flat(),
    channels: 4,
    inputChannels: [8, 6],
    preprocess: [2, 1],
    affine: false,
    nodes: 1,
    reduction: false,
    operations: [3, 6],
    active: [] as number[],
    training: true,
  };
}

const REFUSED: [string, Partial<Record<keyof ReturnType<typeof validCall>, unknown>>, RegExp][] = [
  [
    "states of different sizes",
    { s1: () => blocked([2, 6, 5, 6]) },
    /states made of the inputs .* differ in size/,
  ],
  [
    "inputs of different batches",
    { s1: () => blocked([3, 6, 5, 5]) },
    /input 1 has shape \[1, 3, .*expected \[1, 2, /,
  ],
  ["inputs that are not blocked", { s0: () => zeros([2, 8, 9, 9]) }, /expected \[parts, N, blocks, H, W, /],
  ["no images", { s0: () => zeros([1, 0, 1, 9, 9, 4]) }, /expected \[parts, N, blocks, H, W, /],
  ["blocks of another width", { s0: () => zeros([1, 2, 4, 9, 9, 2]) }, /input 0 has shape .*, expected/],
  ["doubles", { s0: () => blocked([2, 8, 9, 9]).to({ dtype: "float64" }) }, /expected float32/],
  ["channels that fit no block", { inputChannels: [0, 6] }, /got 0 channels in each part of input 0/],
  ["channels of one input only", { inputChannels: [8] }, /channels of 1 inputs/],
  ["unknown preprocessing", { preprocess: [3, 1] }, /got preprocessing 3, expected 0 to 2/],
  [
    "other inputs without preprocessing",
    { preprocess: [2, 0] },
    /input 1 has 1 parts of 6 channels.* expected 1 of 4/,
  ],
  ["scales that are not there", { affine: true }, /weight 2 has shape \[4, 6, 1, 1\], expected \[4\]/],
  [
    "halves of an odd number of channels",
    { channels: 3, mixture: () => ones([2, 2]) },
    /even number of channels, got 3/,
  ],
  [
    "a mixture of other edges",
    { mixture: () => ones([5, 2]) },
    /mixture 0 has shape \[5, 2\], expected \[2, 2\]/,
  ],
  ["too few weights", { weights: () => [zeros([2, 8, 1, 1])] }, /got 1 weights, expected more/],
  [
    "a weight of another shape",
    { weights: () => [zeros([2, 8, 1, 1]), zeros([2, 9, 1, 1])] },
    /weight 1 has shape \[2, 9, 1, 1\], expected \[2, 8, 1, 1\]/,
  ],
  ["too few statistics", { statistics: () => [] }, /running statistics, expected more/],
  ["too many nodes", { nodes: 99 }, /got 99 nodes, expected 1 to 10/],
  ["no nodes", { nodes: 0 }, /got 0 nodes/],
  ["unknown operations", { operations: [3, 8] }, /got operation 8, expected 0 to 7/],
  ["an operation twice", { operations: [3, 3] }, /listed twice/],
  ["no operations", { operations: [] }, /got no operations/],
  ["too few flags", { active: [1] }, /got 1 flags of active operations, expected 4/],
  ["flags that are none", { active: [1, 2, 0, 1] }, /got flag 2, expected 0 or 1/],
  [
    "batch statistics of one value",
    { s0: () => blocked([1, 8, 1, 1]), s1: () => blocked([1, 6, 1, 1]) },
    /more than one value/,
  ],
];

for (const [what, wrong, message] of REFUSED) {
  test(
    `darts::cell refuses ${what}`,
    leakFree(() => {
      const call = { ...validCall(), ...wrong };
      const values = Object.values(call).map((value) => (typeof value === "function" ? value() : value));
      assert.throws(() => operator("darts::cell")(...values), message);
    }),
  );
}

test(
  "the valid call is taken",
  leakFree(() => {
    const output = operator("darts::cell")(...Object.values(validCall())) as Tensor;
    const lanes = operator("darts::kernel_lanes")() as number;
    assert.deepEqual(output.shape, [1, 2, 1, 5, 5, lanes]);
  }),
);

test(
  "gradients of the mixture alone are those of a full step",
  leakFree(() => {
    for (const reduction of [false, true]) {
      const it = { ...SMALL, reduction };
      const edges = createEdges(it);
      const shape = [it.images, it.channels, it.height, it.width];
      using s0 = new Parameter(randn(shape));
      using mixture = new Parameter(randn([edges.length, it.primitives.length]).softmax(1));
      const s1 = randn(shape);
      const cell = new FusedCell({ ...it, edges });
      const loss = () => fusedBody(cell, s0, s1, { operations: mixture }).sum();
      const [all] = grad([loss()], [mixture, s0, ...edges.flatMap((edge) => edge.parameters())]);
      const [alone] = grad([loss()], [mixture]);
      assert.deepEqual(alone!.toNumbers(), all!.toNumbers());
      const [, input] = grad([loss()], [mixture, s0, ...edges.flatMap((edge) => edge.parameters())]);
      const [inputAlone] = grad([loss()], [s0]);
      assert.deepEqual(inputAlone!.toNumbers(), input!.toNumbers());
      for (const edge of edges) edge.dispose();
    }
  }),
);

test(
  "second derivatives are refused, not wrong",
  leakFree(() => {
    const call = validCall();
    using mixture = new Parameter(call.mixture.clone());
    const output = operator("darts::cell")(...Object.values({ ...call, mixture })) as Tensor;
    assert.throws(() => grad([output.sum()], [mixture], { createGraph: true }), /no second derivatives/);
  }),
);

test(
  "without a graph the same values come out, and a second backward is refused",
  leakFree(() => {
    const call = validCall();
    using s0 = new Parameter(blocked([2, 8, 9, 9], randn));
    const run = () => operator("darts::cell")(...Object.values({ ...call, s0 })) as Tensor;
    const output = run();
    assert.deepEqual(noGrad(run).toNumbers(), output.toNumbers());
    const sum = output.sum();
    const [first] = grad([sum], [s0], { retainGraph: true });
    const [again] = grad([sum], [s0]);
    assert.deepEqual(again!.toNumbers(), first!.toNumbers());
    assert.throws(() => grad([sum], [s0]), /second time|already been freed/);
  }),
);

test(
  "cells of other operations or edges are left to the composite path",
  leakFree(() => {
    const edges = createEdges({ ...SMALL, primitives: ["none", "sep_conv_7x7"] });
    const options = { nodes: 3, reduction: false } as const;
    using first = new ReLUConvBN(8, 20, false);
    using second = new FactorizedReduce(8, 20, false);
    const fused = (primitives: readonly Primitive[], preprocess: readonly [Layer, Layer]) =>
      fuseCell({ preprocess, edges }, { ...options, primitives, channels: 20 });
    assert.equal(fused(["none", "sep_conv_7x7"], [first, second]), undefined);
    assert.equal(fused(["none"], [first, new Identity()]), undefined);
    assert.ok(fused(["none"], [first, second]));
    assert.ok(!fusable(zeros([1, 1, 1, 1], { dtype: "float64" })));
    for (const edge of edges) edge.dispose();
  }),
);

test(
  "memory kept between steps is given back when it is asked for, and only once",
  leakFree(() => {
    step(SMALL, 1);
    const release = () => operator("darts::release_memory")() as number;
    assert.ok(release() > 0);
    assert.equal(release(), 0);
  }),
);
