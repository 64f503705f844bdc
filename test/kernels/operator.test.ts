// darts::cell as an operator: the same bytes for any number of threads, memory that comes back, refusals of bad plans.
import assert from "node:assert/strict";
import { test } from "node:test";
import { FusedCell, fusable, fuseCell } from "../../src/space/fused-cell.ts";
import { DARTS_PRIMITIVES } from "../../src/space/primitives.ts";
import { operator } from "../../src/tensor/aten.ts";
import { grad, noGrad } from "../../src/tensor/autograd.ts";
import { seed, setThreads } from "../../src/tensor/runtime.ts";
import { ones, Parameter, randn, type Tensor, zeros } from "../../src/tensor/tensor.ts";
import { leakFree } from "../support/leak-free.ts";
import { type Case, createEdges, withGradients } from "./composite.ts";

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
  using edgeWeights = new Parameter(randn([edges.length]));
  const output = new FusedCell({ ...it, edges }).forward(s0, s1, { operations: mixture, edges: edgeWeights });
  const inputs = [
    ["s0", s0],
    ["s1", s1],
    ["mixture", mixture],
    ["edge weights", edgeWeights],
  ] as [string, Tensor][];
  const names = edges.flatMap((edge, e) => [...edge.namedParameters(`${e} `)]);
  const gradients = withGradients(output, randn(output.shape), new Map([...inputs, ...names]));
  const statistics = edges.flatMap((edge) => edge.buffers());
  const result = [output, ...gradients.values(), ...statistics].map((tensor) => tensor!.toNumbers());
  for (const edge of edges) edge.dispose();
  return result;
}

const KINDS: Record<string, Partial<Case>> = {
  "": {},
  " of narrow images": { channels: 4, images: 39 },
  " with partial channels": { channels: 16, share: 4, images: 39 },
};
for (const [kind, options] of Object.entries(KINDS)) {
  for (const reduction of [false, true]) {
    test(
      `a ${reduction ? "reduction" : "normal"} cell${kind} gives the same bytes on 1, 2, 3 and 11 threads, and again`,
      leakFree(() => {
        const it = { ...SMALL, ...options, reduction };
        const once = step(it, 1);
        for (const threads of [1, 2, 3, 11]) assert.deepEqual(step(it, threads), once);
        setThreads(1);
      }),
    );
  }
}

/** The arguments of a valid call of one node and two operations, by name. */
function validCall() {
  return {
    s0: zeros([2, 4, 5, 5]),
    s1: zeros([2, 4, 5, 5]),
    mixture: ones([2, 2]),
    weights: Array.from({ length: 2 }, () => [zeros([4, 1, 3, 3]), zeros([4, 4, 1, 1])]).flat(),
    statistics: Array.from({ length: 2 }, () => [
      zeros([4]),
      ones([4]),
      zeros([], { dtype: "int64" }),
    ]).flat(),
    nodes: 1,
    reduction: false,
    operations: [3, 6],
    active: [] as number[],
    training: true,
    momentum: 0.1,
    eps: 1e-5,
    groups: 1,
    bypass: null as Tensor | null,
  };
}

const REFUSED: [string, Partial<Record<keyof ReturnType<typeof validCall>, unknown>>, RegExp][] = [
  [
    "inputs of different sizes",
    { s1: () => zeros([2, 4, 5, 6]) },
    /input 1 has shape .*expected \[2, 4, 5, 5\]/,
  ],
  ["inputs that are no images", { s0: () => zeros([2, 4]) }, /expected \[N, C, H, W\]/],
  ["no images", { s0: () => zeros([0, 4, 5, 5]) }, /expected \[N, C, H, W\]/],
  ["doubles", { s0: () => zeros([2, 4, 5, 5], { dtype: "float64" }) }, /expected float32/],
  [
    "a mixture of other edges",
    { mixture: () => ones([5, 2]) },
    /mixture 0 has shape \[5, 2\], expected \[2, 2\]/,
  ],
  ["too few weights", { weights: () => [zeros([4, 1, 3, 3])] }, /got 1 weights, expected more/],
  [
    "a weight of another shape",
    { weights: () => [zeros([4, 1, 5, 5])] },
    /weight 0 has shape \[4, 1, 5, 5\], expected/,
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
    "groups that do not divide the channels",
    { groups: 3 },
    /got 3 groups of channels, .* divides 4 channels/,
  ],
  ["no groups", { groups: 0 }, /got 0 groups of channels/],
  ["groups without weights of their bypasses", { groups: 2 }, /got 2 groups of channels but no weights/],
  ["weights of bypasses without groups", { bypass: () => ones([2]) }, /got 1 groups of channels and weights/],
  [
    "weights of bypasses of other edges",
    { groups: 2, bypass: () => ones([5]) },
    /weights of bypasses 0 has shape \[5\], expected \[2\]/,
  ],
  [
    "batch statistics of one value",
    { s0: () => zeros([1, 4, 1, 1]), s1: () => zeros([1, 4, 1, 1]) },
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
    assert.deepEqual(output.shape, [2, 4, 5, 5]);
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
      const loss = () => cell.forward(s0, s1, { operations: mixture }).sum();
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
    using s0 = new Parameter(randn([2, 4, 5, 5]));
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
    assert.equal(fuseCell(edges, { ...options, primitives: ["none", "sep_conv_7x7"] }), undefined);
    assert.ok(!fusable(zeros([1, 1, 1, 1], { dtype: "float64" }), zeros([1, 1, 1, 1])));
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
