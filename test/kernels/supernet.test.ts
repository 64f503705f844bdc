// Whole small supernets on the fused kernels against the composite ones in float64, from images to every gradient.
import assert from "node:assert/strict";
import { test } from "node:test";
import { BlockedImages } from "../../src/space/blocked.ts";
import type { Kernels } from "../../src/space/fused-cell.ts";
import { EdgeModule, MixedOp } from "../../src/space/mixed-op.ts";
import { OPERATIONS } from "../../src/space/operations.ts";
import { PartialMixedOp, partialEdges } from "../../src/space/partial-channels.ts";
import { DARTS_PRIMITIVES } from "../../src/space/primitives.ts";
import { type Mixture, Supernet, type SupernetCell, type SupernetOptions } from "../../src/space/supernet.ts";
import { noGrad } from "../../src/tensor/autograd.ts";
import { seed, setThreads } from "../../src/tensor/runtime.ts";
import { Parameter, randn, type Tensor } from "../../src/tensor/tensor.ts";
import { assertClose } from "../support/assert-close.ts";
import { leakFree } from "../support/leak-free.ts";
import { withGradients } from "./composite.ts";
import { assertSameResults, type Result } from "./results.ts";

const SMALL: SupernetOptions = {
  channels: 4,
  cells: 3,
  nodes: 2,
  // Without poolings: their maxima and the few pixels of the last cells make rounding decide.
  primitives: ["none", "skip_connect", "sep_conv_3x3", "dil_conv_5x5"],
  stemMultiplier: 3,
  imageChannels: 3,
  classes: 5,
};

const create = (options: SupernetOptions, kernels: Kernels) => {
  seed(5);
  return new Supernet({ ...options, kernels });
};

/** Logits, all gradients and the running statistics of one pass, in the type of the net. */
function pass(
  net: Supernet,
  { size = [8, 8], images = 4, dropPath }: Omit<Comparison, "training">,
): Result & { free(): void } {
  seed(6);
  const { dtype } = net.classifier.weight;
  const { nodes, primitives, imageChannels } = net.options;
  const make = (shape: readonly number[]) => new Parameter(randn(shape).to({ dtype }));
  const alphas = [0, 1].map(() => make([(nodes * (nodes + 3)) / 2, primitives.length]));
  const x = make([images, imageChannels, ...size]);
  const partial = (net.cells[0] as SupernetCell)._ops[0] instanceof PartialMixedOp;
  const betas = partial ? [0, 1].map(() => make([(nodes * (nodes + 3)) / 2])) : [];
  const mixture: Mixture = {
    normal: { operations: alphas[0].softmax(1), edges: betas[0] },
    reduce: { operations: alphas[1].softmax(1), edges: betas[1] },
    dropPath,
  };
  const output = net.forward(x, mixture);
  const inputs = new Map<string, Tensor>([
    ["images", x],
    ["normal", alphas[0]],
    ["reduce", alphas[1]],
    ...betas.map((beta, i) => [`edges ${i}`, beta] as const),
    ...net.namedParameters(),
  ]);
  const gradients = withGradients(output, randn(output.shape).to({ dtype }), inputs);
  return {
    output,
    gradients,
    statistics: new Map(net.namedBuffers()),
    free: () => {
      for (const owned of [x, ...alphas, ...betas]) owned.dispose();
    },
  };
}

interface Comparison {
  readonly size?: readonly [number, number];
  readonly training?: boolean;
  readonly images?: number;
  readonly dropPath?: number;
}

function compare(options: SupernetOptions, { training = true, ...how }: Comparison = {}) {
  using fused = create(options, options.kernels ?? "fused").train(training);
  using composite = create(options, "composite").to({ dtype: "float64" }).train(training);
  const [mine, oracle] = [fused, composite].map((net) => pass(net, how));
  assertSameResults(mine, oracle);
  mine.free();
  oracle.free();
}

for (const [name, options, size] of [
  ["three cells", SMALL, [8, 8]],
  ["odd images", SMALL, [9, 7]],
  ["channels that fill no block", { ...SMALL, channels: 10, nodes: 1 }, [8, 6]],
  ["five cells of eight channels", { ...SMALL, cells: 5, nodes: 1, channels: 8 }, [12, 12]],
] as [string, SupernetOptions, [number, number]][]) {
  test(
    `a supernet (${name}) is the composite one`,
    leakFree(() => compare(options, { size })),
  );
}

test(
  "a supernet that drops paths, skip connections among them, is the composite one, and drops none in evaluation",
  leakFree(() => {
    for (const training of [true, false]) compare(SMALL, { images: 6, training, dropPath: 0.4 });
    // Poolings, with batch normalisation and without; cells that read the images side by side.
    const primitives = ["max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3"] as const;
    for (const poolNorm of [true, false])
      compare({ ...SMALL, cells: 1, nodes: 1, primitives, poolNorm }, { images: 6, dropPath: 0.4 });
  }),
);

test(
  "a supernet of partial channels that drops paths is computed by libtorch",
  leakFree(() => {
    const options = { ...SMALL, channels: 8, nodes: 1, createEdge: partialEdges(2) };
    using auto = create(options, "auto");
    using composite = create(options, "composite");
    const [mine, oracle] = [auto, composite].map((net) => pass(net, { dropPath: 0.4 }));
    assertClose(mine.output, oracle.output, 1e-5, "logits");
    mine.free();
    oracle.free();
    using fused = create(options, "fused");
    using images = new Parameter(randn([2, 3, 8, 8]));
    using operations = new Parameter(randn([2, 4]));
    const mixture = { normal: { operations }, reduce: { operations }, dropPath: 0.4 };
    assert.throws(() => fused.forward(images, mixture), /kernels is fused, but/);
  }),
);

for (const [channels, share, images] of [
  [8, 2, 4],
  [16, 4, 5],
  [12, 2, 3],
] as const) {
  test(
    `a supernet of ${channels} channels, of which the operations see one in ${share}, is the composite one`,
    leakFree(() => {
      const options = { ...SMALL, channels, nodes: 1, createEdge: partialEdges(share) };
      for (const training of [true, false]) compare(options, { size: [8, 6], training, images });
    }),
  );
}

test(
  "a supernet's cells give the same bytes on 1, 2, 3 and 11 threads, with all channels and with some",
  leakFree(() => {
    for (const createEdge of [undefined, partialEdges(2)]) {
      const step = (threads: number) => {
        setThreads(threads);
        using net = create({ ...SMALL, channels: 8, createEdge }, "fused");
        using x = new Parameter(randn([13, 24, 9, 7]));
        using operations = new Parameter(randn([5, 4]));
        using edges = new Parameter(randn([5]));
        let [s0, s1] = [BlockedImages.from(x), BlockedImages.from(x)];
        for (const cell of net.cells) [s0, s1] = [s1, cell.forward(s0, s1, { operations, edges })];
        const output = s1.toImages();
        const inputs = [
          ["x", x],
          ["operations", operations],
          ["edges", edges],
        ] as [string, Tensor][];
        const parameters = net.cells.flatMap((cell, i) => [...cell.namedParameters(`${i} `)]);
        const gradients = withGradients(output, randn(output.shape), new Map([...inputs, ...parameters]));
        const buffers = net.cells.flatMap((cell) => cell.buffers());
        return [output, ...gradients.values(), ...buffers].map((tensor) => tensor!.toNumbers());
      };
      const once = step(1);
      for (const threads of [2, 3, 11]) assert.deepEqual(step(threads), once);
      setThreads(1);
    }
  }),
);

test(
  "a supernet with poolings, of one cell, is the composite one",
  leakFree(() => compare({ ...SMALL, cells: 1, primitives: DARTS_PRIMITIVES })),
);

test(
  "a supernet in evaluation is the composite one, with and without a graph",
  leakFree(() => {
    compare(SMALL, { training: false });
    using net = create(SMALL, "fused").eval();
    const x = randn([2, 3, 8, 8]);
    const weights = { operations: randn([5, 4]).softmax(1) };
    const mixture = { normal: weights, reduce: weights };
    // Without a graph the terms of a node are added up in another order.
    const [bare, kept] = [noGrad(() => net.forward(x, mixture)), net.forward(x, mixture)];
    assertClose(bare, kept, 1e-6, "logits");
  }),
);

/** An edge that the kernels do not know. */
class PlainEdge extends EdgeModule {
  readonly op = OPERATIONS.skip_connect(8, 2, false);
  forward(x: Tensor, weights: Tensor): Tensor {
    return this.op.forward(x).mul(weights.select(0, 0));
  }
}

test(
  "a cell that the kernels do not cover converts its own inputs and outputs",
  leakFree(() => {
    const createEdge: SupernetOptions["createEdge"] = (context) =>
      context.reduction && context.channels === 8 && context.stride === 2
        ? new PlainEdge()
        : new MixedOp(context);
    const options: SupernetOptions = { ...SMALL, nodes: 1, createEdge, kernels: "auto" };
    using net = create(options, "auto");
    assert.deepEqual(
      net.cells.map(({ fused }) => fused),
      [true, false, true],
    );
    compare(options);
    using strict = create(options, "fused");
    const weights = { operations: randn([2, 4]).softmax(1) };
    const forward = () => strict.forward(randn([2, 3, 8, 8]), { normal: weights, reduce: weights });
    assert.throws(forward, /kernels is fused, but the fused kernels do not cover these cells/);
  }),
);

test(
  "a cell gives the layout that it is given",
  leakFree(() => {
    using net = create(SMALL, "fused");
    const [cell] = net.cells;
    const x = randn([2, 12, 6, 6]);
    const mixture = { operations: randn([5, 4]).softmax(1) };
    const images = cell.forward(x, x, mixture);
    assert.deepEqual(images.shape, [2, 8, 6, 6]);
    const blocked = BlockedImages.from(x);
    assertClose(cell.forward(blocked, blocked, mixture).toImages(), images, 1e-6, "output");
  }),
);
