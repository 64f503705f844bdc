// darts::cell as an operator: the same bytes for any number of threads, memory that comes back, refusals of bad plans.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createGenerator } from "../../src/random/generator.ts";
import { BlockedImages } from "../../src/space/blocked.ts";
import { fusable, fuseCell } from "../../src/space/fused-cell.ts";
import { DARTS_PRIMITIVES } from "../../src/space/primitives.ts";
import { mixedPlan } from "../../src/space/supernet.ts";
import { operator } from "../../src/tensor/aten.ts";
import { grad, noGrad } from "../../src/tensor/autograd.ts";
import { seed, setThreads } from "../../src/tensor/runtime.ts";
import { scope } from "../../src/tensor/scope.ts";
import { ones, Parameter, randn, Tensor, zeros } from "../../src/tensor/tensor.ts";
import { leakFree } from "../support/leak-free.ts";
import { type Case, createEdges, createFused, fusedBody, withGradients } from "./composite.ts";

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
  const weights = { operations: mixture, edges: edgeWeights };
  const output = fusedBody(createFused(it, edges), s0, s1, weights);
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
  " of many images": { channels: 6, images: 101, height: 5, width: 4 },
};
for (const [kind, options] of Object.entries(KINDS)) {
  for (const reduction of [false, true]) {
    test(
      `a ${reduction ? "reduction" : "normal"} cell${kind} gives the same bytes on 1, 2, 3, 11 and 80 threads, and again`,
      leakFree(() => {
        const it = { ...SMALL, ...options, reduction };
        const once = step(it, 1);
        for (const threads of [1, 2, 3, 11, 80]) assert.deepEqual(step(it, threads), once);
        setThreads(1);
      }),
    );
  }
}

/** Images [N, channels, H, W] of zeros, or what `values` makes of them, in blocks. */
const blocked = (shape: readonly number[], values: (shape: readonly number[]) => Tensor = zeros) =>
  BlockedImages.from(values(shape)).blocks;

/** The arguments of a valid call of two preprocessed inputs, one node, two edges and two operations each, by name. */
function validCall() {
  return {
    s0: blocked([2, 8, 9, 9]),
    s1: blocked([2, 6, 5, 5]),
    mixture: ones([2, 2]) as Tensor | null,
    bypass: null as Tensor | null,
    paths: null as Tensor | null,
    given: [] as Tensor[],
    givenTo: [] as number[],
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
    groups: 1,
    nodes: 1,
    reduction: false,
    // Of each: channels of a part, preprocessing, kind of norm.
    inputs: [8, 2, 1, 6, 1, 1],
    edges: [0, 2, 1, 2],
    // Of each: edge, operation, kind of norm, index in the mixture.
    operations: [0, 3, 0, 0, 0, 6, 1, 1, 1, 3, 0, 2, 1, 6, 1, 3],
    concat: [2],
    training: true,
  };
}

const image = () => blocked([2, 4, 5, 5]);
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
  [
    "channels that fit no block",
    { inputs: [0, 2, 1, 6, 1, 1] },
    /got channels of an input's parts 0, expected 1/,
  ],
  ["numbers of one input only", { inputs: [8, 2, 1] }, /got 3 numbers of inputs/],
  ["unknown preprocessing", { inputs: [8, 3, 1, 6, 1, 1] }, /got preprocessing 3, expected 0 to 2/],
  ["preprocessing without a norm", { inputs: [8, 2, 0, 6, 1, 1] }, /got norm 0 for preprocessing 2/],
  [
    "a norm without preprocessing",
    { inputs: [8, 2, 1, 6, 0, 1] },
    /got norm 1 for preprocessing 0.*expected 0/,
  ],
  [
    "other inputs without preprocessing",
    { inputs: [8, 2, 1, 6, 0, 0] },
    /input 1 has 1 parts of 6 channels.* expected 1 of 4/,
  ],
  ["no channels", { channels: 0 }, /got 0 channels/],
  [
    "scales that are not there",
    { inputs: [8, 2, 2, 6, 1, 1] },
    /weight 2 has shape \[4, 6, 1, 1\], expected \[4\]/,
  ],
  ["halves of an odd number of channels", { channels: 3 }, /even number of channels, got 3/],
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
    {
      groups: 4,
      bypass: () => ones([5]),
      operations: [],
      weights: () => validCall().weights.slice(0, 3),
      statistics: () => validCall().statistics.slice(0, 6),
    },
    /weights of bypasses 0 has shape \[5\], expected \[2\]/,
  ],
  [
    "paths of groups",
    {
      groups: 4,
      bypass: () => ones([2]),
      paths: () => ones([2, 2]),
      operations: [],
      weights: () => validCall().weights.slice(0, 3),
      statistics: () => validCall().statistics.slice(0, 6),
    },
    /given tensors or paths with 4 groups/,
  ],
  ["too small a mixture", { mixture: () => ones([3]) }, /weight of the mixture 3, expected -1 to 2/],
  ["weights of no mixture", { mixture: null }, /weight of the mixture 0, expected -1 to -1/],
  ["a mixture of integers", { mixture: () => ones([4], { dtype: "int64" }) }, /mixture 0 is Long/],
  ["paths of other images", { paths: () => ones([2, 3]) }, /paths 0 has shape \[2, 3\], expected \[2, 2\]/],
  ["a given tensor without a state", { given: () => [image()] }, /got 1 given tensors for 0 states/],
  ["a given input", { given: () => [image()], givenTo: [1] }, /given tensor of state 1, expected 2 to 2/],
  ["a state given twice", { given: () => [image(), image()], givenTo: [2, 2] }, /state 2 is given twice/],
  [
    "a given tensor of another size",
    { given: () => [blocked([2, 4, 5, 4])], givenTo: [2] },
    /given tensor 0/,
  ],
  ["too few weights", { weights: () => [zeros([2, 8, 1, 1])] }, /got 1 weights, expected more/],
  [
    "a weight of another shape",
    { weights: () => [zeros([2, 8, 1, 1]), zeros([2, 9, 1, 1])] },
    /weight 1 has shape \[2, 9, 1, 1\], expected \[2, 8, 1, 1\]/,
  ],
  ["weights without scales", { operations: [0, 6, 2, 0, 1, 6, 2, 1] }, /weight 5 .*expected \[4\]/],
  ["too many weights", { operations: [0, 6, 1, 0] }, /got 7 weights, expected 5/],
  ["too few statistics", { statistics: () => [] }, /running statistics, expected more/],
  ["too many nodes", { nodes: 99 }, /got 99 nodes, expected 1 to 10/],
  ["no nodes", { nodes: 0 }, /got 0 nodes/],
  ["half an edge", { edges: [0, 2, 1] }, /got 3 numbers of edges/],
  ["too many edges", { edges: Array(258).fill([0, 2]).flat() }, /at most 128/],
  ["an edge from its own target", { edges: [0, 2, 2, 2] }, /an edge from state 2, expected 0 to 1/],
  ["an edge back", { nodes: 2, edges: [3, 2, 0, 3] }, /an edge from state 3, expected 0 to 1/],
  ["an edge into an input", { edges: [0, 1, 1, 2] }, /an edge to state 1, expected 2 to 2/],
  ["an edge to nowhere", { edges: [0, 2, 1, 3] }, /an edge to state 3, expected 2 to 2/],
  ["a node that nothing reaches", { nodes: 2 }, /state 3 has no edge and is not given/],
  ["half an operation", { operations: [0, 3, 0] }, /got 3 numbers of operations/],
  ["an operation of no edge", { operations: [2, 3, 0, 0] }, /an operation of edge 2, expected 0 to 1/],
  ["unknown operations", { operations: [0, 9, 0, 0] }, /got operation 9, expected 0 to 8/],
  ["an operation twice", { operations: [0, 3, 0, 0, 0, 3, 0, 1] }, /listed twice for edge 0/],
  ["a skip connection with a norm", { operations: [0, 3, 1, 0] }, /got norm 1 for operation 3.*expected 0/],
  ["a convolution without a norm", { operations: [0, 6, 0, 0] }, /got norm 0 for operation 6/],
  ["an unknown norm", { operations: [0, 1, 3, 0] }, /got norm 3, expected 0 to 2/],
  ["nothing to put out", { concat: [] }, /got 0 states to put out/],
  ["an input to put out", { concat: [1] }, /to put out state 1, expected 2 to 2/],
  ["a state put out twice", { nodes: 2, edges: [0, 2, 1, 3], concat: [2, 2] }, /state 2 is put out twice/],
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

/** How many calls with random mistakes; more with DARTS_RANDOM_CASES. */
const RANDOM_CALLS = 10 * Number(process.env.DARTS_RANDOM_CASES ?? 40);

test(
  "calls with random mistakes are refused with what was got and expected, or compute something",
  leakFree(() => {
    const generator = createGenerator(5, "mistakes");
    const below = (end: number) => generator.int(0, end - 1);
    const sizes = [0, 1, 2, 4, 5];
    const shape = () => Array.from({ length: below(5) }, () => sizes[below(sizes.length)]);
    const dtype = () => (["float32", "float64", "int64"] as const)[below(3)];
    const mistake = (value: unknown): unknown => {
      if (value === null || value instanceof Tensor) return zeros(shape(), { dtype: dtype() });
      if (typeof value === "boolean") return !value;
      if (typeof value === "number") return below(14) - 2;
      const list = [...(value as unknown[])];
      const number = typeof list[0] !== "object";
      const at = below(list.length + 1);
      if (below(3) === 0) list.splice(at, 1);
      else if (at < list.length) list[at] = mistake(list[at]);
      else list.push(number ? below(14) - 2 : mistake(null));
      return list;
    };
    let refused = 0;
    for (let i = 0; i < RANDOM_CALLS; i++) {
      scope(() => {
        const call: Record<string, unknown> = { ...validCall(), given: [image()], givenTo: [2] };
        const names = Object.keys(call);
        for (let n = 0; n <= below(2); n++) {
          const name = names[below(names.length)];
          call[name] = mistake(call[name]);
        }
        try {
          const [output] = operator("darts::cell")(...Object.values(call)) as Tensor[];
          assert.equal(output.shape.length, 6);
        } catch (error) {
          assert.match(String(error), /darts::cell: .*(got|has|is|needs?|listed|put out)/s);
          refused++;
        }
      });
    }
    assert.ok(refused > RANDOM_CALLS / 3, `${refused} of ${RANDOM_CALLS} refused`);
    assert.ok(refused < RANDOM_CALLS, "some are taken");
  }),
);

test(
  "the valid call is taken",
  leakFree(() => {
    const [output] = operator("darts::cell")(...Object.values(validCall())) as Tensor[];
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
      const cell = createFused(it, edges);
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
    using mixture = new Parameter(ones([2, 2]));
    const [output] = operator("darts::cell")(...Object.values({ ...call, mixture })) as Tensor[];
    assert.throws(() => grad([output.sum()], [mixture], { createGraph: true }), /no second derivatives/);
  }),
);

const PREPROCESSED: Record<string, () => Partial<ReturnType<typeof validCall>>> = {
  "a 1×1 convolution": () => ({ s1: blocked([2, 6, 5, 5], randn) }),
  "a factorized reduction": () => {
    const { weights } = validCall();
    return {
      s0: blocked([2, 6, 5, 5], randn),
      s1: blocked([2, 8, 9, 9], randn),
      inputs: [6, 1, 1, 8, 2, 1],
      weights: [weights[2], weights[0], weights[1], ...weights.slice(3)],
    };
  },
  nothing: () => ({
    s1: blocked([2, 4, 5, 5], randn),
    inputs: [8, 2, 1, 4, 0, 0],
    weights: validCall().weights.filter((_, i) => i !== 2),
    statistics: validCall().statistics.slice(3),
  }),
};
for (const [preprocessing, changes] of Object.entries(PREPROCESSED)) {
  test(
    `a second input, preprocessed by ${preprocessing}, passes through: later gradients are added to the cell's own`,
    leakFree(() => {
      const call = { ...validCall(), ...changes() };
      const weights = call.weights.map(({ shape }) => randn(shape));
      using s1 = new Parameter(call.s1);
      const [output, passed] = operator("darts::cell")(
        ...Object.values({ ...call, s1, weights }),
      ) as Tensor[];
      assert.deepEqual(passed.toNumbers(), s1.toNumbers());
      const [outer, later] = [randn(output.shape), randn(passed.shape)];
      const gradientOf = (loss: Tensor) => grad([loss], [s1], { retainGraph: true })[0]!;
      const own = gradientOf(output.mul(outer).sum());
      assert.ok(own.mul(own).sum().item() > 0);
      assert.deepEqual(gradientOf(passed.mul(later).sum()).toNumbers(), later.toNumbers());
      const both = gradientOf(output.mul(outer).sum().add(passed.mul(later).sum()));
      assert.deepEqual(both.toNumbers(), own.add(later).toNumbers());
    }),
  );
}

test(
  "without a graph the same values come out, and a second backward is refused",
  leakFree(() => {
    const call = validCall();
    using s0 = new Parameter(blocked([2, 8, 9, 9], randn));
    const run = () => (operator("darts::cell")(...Object.values({ ...call, s0 })) as Tensor[])[0];
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
  "cells of which the kernels have nothing, or that are too large, are left to the composite path",
  leakFree(() => {
    const fused = (it: Case) => {
      const modules = createEdges(it);
      const { channels, nodes, reduction, primitives } = it;
      const found = fuseCell(mixedPlan(modules, { channels, nodes, reduction, primitives })!);
      for (const edge of modules) edge.dispose();
      return found;
    };
    assert.equal(fused({ ...SMALL, primitives: ["none", "conv_7x1_1x7"] }), undefined);
    assert.equal(fused({ ...SMALL, nodes: 11, primitives: ["skip_connect"] }), undefined);
    assert.ok(fused({ ...SMALL, nodes: 10, primitives: ["skip_connect", "conv_7x1_1x7"] }));
    assert.equal(fused({ ...SMALL, share: 4, primitives: ["skip_connect", "conv_7x1_1x7"] }), undefined);
    assert.ok(!fusable(zeros([1, 1, 1, 1], { dtype: "float64" })));
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
