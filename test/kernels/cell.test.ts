// The fused cell against the composite one in float64: values, all gradients and running statistics, over operations,
// strides, channel counts, odd sizes and subsets. Batches are small: in a large one, somewhere, rounding turns the
// sign that a ReLU sees or the winner of a maximum, and gradients differ by more than rounding (docs of the kernels).
import { test } from "node:test";
import { DARTS_PRIMITIVES, type Primitive } from "../../src/space/primitives.ts";
import type { CellMixture } from "../../src/space/supernet.ts";
import { noGrad } from "../../src/tensor/autograd.ts";
import { seed } from "../../src/tensor/runtime.ts";
import { ones, Parameter, randn, type Tensor } from "../../src/tensor/tensor.ts";
import { leakFree } from "../support/leak-free.ts";
import { type Case, compositeBody, createEdges, createFused, fusedBody, withGradients } from "./composite.ts";
import { ANY_CHANNELS } from "./plans.ts";
import { assertSameResults, type Result } from "./results.ts";

/** How many random cells; more with DARTS_RANDOM_CASES. */
const RANDOM_CASES = Number(process.env.DARTS_RANDOM_CASES ?? 20);

const NORMAL: Case = {
  images: 3,
  channels: 16,
  height: 8,
  width: 8,
  nodes: 2,
  reduction: false,
  primitives: DARTS_PRIMITIVES,
};

const without = (...names: Primitive[]) => DARTS_PRIMITIVES.filter((name) => !names.includes(name));

const CASES: Record<string, Case> = {
  "a normal cell": NORMAL,
  "a normal cell of four nodes": { ...NORMAL, nodes: 4, images: 2 },
  "a reduction cell": { ...NORMAL, reduction: true },
  "a reduction cell of four nodes": { ...NORMAL, reduction: true, nodes: 4, images: 2 },
  "two channels": { ...NORMAL, channels: 2 },
  "one channel, no convolutions": { ...NORMAL, channels: 1, primitives: DARTS_PRIMITIVES.slice(0, 4) },
  "channels that fill no block": { ...NORMAL, channels: 20 },
  "three blocks": { ...NORMAL, channels: 48, images: 2, nodes: 1 },
  "an odd, wide image": { ...NORMAL, height: 7, width: 13 },
  "a reduction of an odd, tall image": { ...NORMAL, reduction: true, height: 11, width: 5, channels: 10 },
  "a reduction of odd times even": {
    ...NORMAL,
    reduction: true,
    height: 7,
    width: 10,
    channels: 36,
    nodes: 1,
  },
  "an image of two pixels": { ...NORMAL, height: 1, width: 2, images: 5 },
  "a reduction to one pixel": { ...NORMAL, reduction: true, height: 2, width: 2, images: 5 },
  "a single image": { ...NORMAL, images: 1 },
  "more images than chunks": { ...NORMAL, images: 11, channels: 4, nodes: 1 },
  "poolings and skips only": { ...NORMAL, primitives: ["skip_connect", "avg_pool_3x3", "max_pool_3x3"] },
  "one operation": { ...NORMAL, primitives: ["sep_conv_5x5"] },
  "no separable convolutions": {
    ...NORMAL,
    reduction: true,
    primitives: without("sep_conv_3x3", "sep_conv_5x5"),
  },
  "all operations of the kernels": { ...NORMAL, primitives: [...DARTS_PRIMITIVES, "sep_conv_7x7"] },
  "all operations there are, some of them apart": {
    ...NORMAL,
    nodes: 3,
    images: 2,
    channels: 6,
    primitives: ANY_CHANNELS,
    active: [[9, 3], [9], [2, 9], [0], [1, 4, 9], [7], [8, 9], [4], [2]],
  },
  "a reduction of all operations there are": { ...NORMAL, reduction: true, primitives: ANY_CHANNELS },
  "another order": { ...NORMAL, primitives: [...DARTS_PRIMITIVES].reverse() },
  "other candidates on each edge": { ...NORMAL, active: [[4], [0], [1, 3, 7], [2, 5, 6], [0, 3]] },
  "other candidates on each edge of a reduction": {
    ...NORMAL,
    reduction: true,
    active: [[3], [0, 4], [1, 7], [2, 5, 6, 3], [0]],
  },
};

/** Runs a case both ways and hands over what they gave. */
function bothWays(it: Case, training: boolean, check: (mine: Result, oracle: Result) => void): void {
  seed(7);
  const edges = createEdges(it);
  // The only weight of a 1×1 convolution scales what is normalised next: near zero, rounding is all that is left of it.
  for (const weight of edges.flatMap((edge) => edge.parameters()))
    if (weight.numel === 1) noGrad(() => weight.copy_(ones(weight.shape)));
  const wide = createEdges(it);
  for (const [i, edge] of wide.entries()) {
    edge.loadStateDict(edges[i].stateDict());
    edge.to({ dtype: "float64" });
  }
  for (const edge of [...edges, ...wide]) edge.train(training);
  const made: { dispose(): void }[] = [...edges, ...wide];
  const parameter = (values: Tensor) => {
    const leaf = new Parameter(values);
    made.push(leaf);
    return leaf;
  };
  const shape = [it.images, it.channels, it.height, it.width];
  const [s0, s1] = [parameter(randn(shape)), parameter(randn(shape))];
  const mixture = parameter(randn([edges.length, it.primitives.length]).softmax(1));
  const edgeWeights = it.share === undefined ? [] : [parameter(randn([edges.length]))];
  const fused = createFused(it, edges);
  const run = (
    forward: (s0: Tensor, s1: Tensor, mixture: CellMixture) => Tensor,
    modules: typeof edges,
    wideInputs: boolean,
  ): Result => {
    const [a, b, m, e] = [s0, s1, mixture, ...edgeWeights].map((tensor) =>
      wideInputs ? parameter(tensor.detach().to({ dtype: "float64" })) : tensor,
    );
    const output = forward(a, b, { operations: m, edges: e, active: it.active });
    const names = modules.flatMap((edge, i) => [...edge.namedParameters(`edge ${i} `)]);
    const inputs = new Map<string, Tensor>([["s0", a], ["s1", b], ["mixture", m], ...names]);
    if (e) inputs.set("edge weights", e);
    seed(8);
    const cotangent = randn(output.shape).to({ dtype: output.dtype });
    const gradients = withGradients(output, cotangent, inputs);
    const statistics = new Map(modules.flatMap((edge, i) => [...edge.namedBuffers(`edge ${i} `)]));
    return { output, gradients, statistics };
  };
  try {
    const mine = run((a, b, m) => fusedBody(fused, a, b, m, training), edges, false);
    const oracle = run((a, b, m) => compositeBody(wide, it.nodes, a, b, m), wide, true);
    check(mine, oracle);
  } finally {
    for (const owned of made) owned.dispose();
  }
}

function compare(it: Case, training = true): void {
  bothWays(it, training, assertSameResults);
}

for (const [name, it] of Object.entries(CASES)) {
  test(
    `${name}: as the composite cell in float64`,
    leakFree(() => compare(it)),
  );
}

/** Whole numbers below an end, from a seed. */
function numbersFrom(seed: number): (end: number) => number {
  let state = seed;
  const below = (end: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * end);
  };
  for (let i = 0; i < 5; i++) below(1); // neighbouring seeds begin alike
  return below;
}

/** A cell of random sizes, operations and active candidates. */
function randomCase(number: number): Case {
  const below = numbersFrom(number);
  const reduction = below(2) === 1;
  const nodes = 1 + below(3);
  const chosen = DARTS_PRIMITIVES.filter(() => below(3) > 0);
  const primitives = chosen.length > 0 ? chosen : DARTS_PRIMITIVES;
  const edges = (nodes * (nodes + 3)) / 2;
  const some = () => {
    const list = [...primitives.keys()].filter(() => below(2) === 0);
    return list.length > 0 ? list : [below(primitives.length)];
  };
  const active = below(2) === 0 ? Array.from({ length: edges }, some) : undefined;
  const [height, width] = [3 + below(9), 3 + below(12)];
  return {
    images: 2 + below(3),
    channels: 4 + 2 * below(20),
    height,
    width,
    nodes,
    reduction,
    primitives,
    active,
  };
}

for (let number = 1; number <= RANDOM_CASES; number++) {
  const it = randomCase(number);
  const { images, channels, height, width, nodes, reduction, primitives } = it;
  test(
    `random cell ${number}: ${[images, channels, height, width].join("×")}, ${nodes} nodes, ${reduction ? "reduction" : "normal"}, ` +
      `${primitives.length} operations`,
    leakFree(() => compare(it)),
  );
}

/** A cell whose images are folded, or which has partial channels, or both: C′ channels seen by the operations. */
function narrowCase(share: number | undefined, seen: number, number: number): Case {
  const below = numbersFrom(number);
  const it = randomCase(number);
  // A factorized reduction needs an even number of channels.
  const odd = seen % 2 === 1 && it.reduction;
  const primitives = odd ? it.primitives.filter((name) => name !== "skip_connect") : it.primitives;
  const channels = seen * (share ?? 1);
  return {
    ...it,
    share,
    channels,
    primitives: primitives.length > 0 ? primitives : (["sep_conv_3x3", "max_pool_3x3"] as const),
    active: primitives.length === it.primitives.length && channels <= 40 ? it.active : undefined,
    // One channel's weights are all but normalised away: their gradients are rounding where many numbers are summed.
    images: 2 + below(channels > 40 ? 2 : seen === 1 ? 5 : 9),
    nodes: channels > 40 ? 1 : it.nodes,
  };
}

let narrow = 1000;
for (const share of [undefined, 1, 2, 4, 8]) {
  for (const seen of [1, 2, 4, 8, 16, 20]) {
    const it = narrowCase(share, seen, narrow++);
    test(
      `${share === undefined ? "" : `K = ${share}, `}${seen} channels seen: ${it.images} images ${it.height}×${it.width}, ` +
        `${it.nodes} nodes, ${it.reduction ? "reduction" : "normal"}, ${it.primitives.join(" ")}${it.active ? ", some" : ""}`,
      leakFree(() => {
        compare(it);
        compare({
          ...it,
          reduction: !it.reduction,
          primitives: ["sep_conv_3x3", "avg_pool_3x3"],
          active: undefined,
        });
      }),
    );
  }
}

test(
  "partial channels of a paper's cell, with a batch that fills no group of images",
  leakFree(() => {
    for (const reduction of [false, true])
      compare({ ...NORMAL, share: 4, images: 7, nodes: 4, height: 6, width: 6, reduction });
  }),
);

test(
  "in evaluation the running statistics normalise, and do not move",
  leakFree(() => {
    for (const channels of [16, 4])
      for (const reduction of [false, true])
        for (const share of [undefined, 4])
          compare({ ...NORMAL, channels, reduction, share, primitives: without("skip_connect") }, false);
  }),
);
