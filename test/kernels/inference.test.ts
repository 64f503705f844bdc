// Inference on the kernels: threads that share an image, and packed weights that are kept from call to call.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Genotype } from "../../src/genotype/genotype.ts";
import { findGenotype } from "../../src/genotype/published.ts";
import { crossEntropy } from "../../src/nn/loss.ts";
import { SGD } from "../../src/optim/sgd.ts";
import { type Kernels, releaseKernelMemory } from "../../src/space/fused-cell.ts";
import { Network, NetworkCell } from "../../src/space/network.ts";
import { DARTS_PRIMITIVES } from "../../src/space/primitives.ts";
import { Supernet } from "../../src/space/supernet.ts";
import { aten } from "../../src/tensor/aten.ts";
import { grad, noGrad } from "../../src/tensor/autograd.ts";
import { seed, setThreads } from "../../src/tensor/runtime.ts";
import { ones, randn, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { byNode } from "../genotype/shorthand.ts";
import { assertClose } from "../support/assert-close.ts";
import { leakFree } from "../support/leak-free.ts";

const CELLS: readonly { readonly name: string; readonly genotype: Genotype }[] = [
  { name: "DARTS_V2", genotype: findGenotype("DARTS_V2") },
  {
    name: "a chain that skips states, every operation",
    genotype: {
      normal: byNode("s3,1 mp,1 | s5,2 d3,2 ap,0 | sk,0 sk,3 | d5,4 s3,4 s5,4"),
      normalConcat: [5, 3],
      reduce: byNode("s5,0 sk,1 | mp,0 | s3,2 d5,1 s3,0 | ap,4 s5,2 d3,4"),
      reduceConcat: [4, 2, 5],
    },
  },
  {
    name: "more separable convolutions from a state than are made together",
    genotype: {
      normal: byNode("s3,0 s5,0 | s3,0 s5,0 | s5,0 s3,1 | s3,0 s5,0 s5,2"),
      normalConcat: [2, 3, 4, 5],
      reduce: byNode("s3,1 s5,1 | s3,1 s5,0 | s5,1 s3,1 | d3,0 s5,2 s3,3"),
      reduceConcat: [2, 3, 4, 5],
    },
  },
];

for (const { name, genotype } of CELLS)
  for (const reduction of [false, true])
    test(
      `${name}, ${reduction ? "reduction" : "normal"} cell: few images give the same bytes on any number of threads, and the composite cell's values`,
      leakFree(() => {
        seed(11);
        const inputs = [20, 24] as const;
        for (const [images, height, width, channels] of [
          [1, 9, 6, 20],
          [1, 2, 3, 36],
          [3, 8, 8, 18],
        ]) {
          const place = { channels, inputs, reduction, afterReduction: false };
          using fused = new NetworkCell(genotype, place, { kernels: "fused" }).eval();
          using wide = new NetworkCell(genotype, place, { kernels: "composite" }).eval();
          moveStatistics(fused.buffers());
          wide.loadStateDict(fused.stateDict());
          wide.to({ dtype: "float64" });
          const [s0, s1] = inputs.map((from) => randn([images, from, height, width]));
          const run = (threads: number) => {
            setThreads(threads);
            return noGrad(() => fused.forward(s0, s1)).toNumbers();
          };
          const once = run(1);
          for (const threads of [2, 3, 11]) assert.deepEqual(run(threads), once, `${threads} threads`);
          setThreads(1);
          const [x0, x1] = [s0, s1].map((s) => s.to({ dtype: "float64" }));
          const oracle = noGrad(() => wide.forward(x0, x1));
          assertClose(once, oracle.toNumbers(), 1e-5, `${images}×${height}×${width}`);
        }
      }),
    );

/** Running statistics as after training, and not those that a normalisation begins with. */
function moveStatistics(buffers: readonly Tensor[]): void {
  noGrad(() => {
    for (const buffer of buffers) if (buffer.dtype === "float32") aten.uniform_.default(buffer, 0.5, 1.5);
  });
}

function createNetwork(kernels: Kernels): Network {
  return new Network({
    genotype: findGenotype("DARTS_V2"),
    channels: 6,
    cells: 3,
    classes: 5,
    imageChannels: 3,
    imageSize: 8,
    stem: "cifar",
    auxiliary: false,
    kernels,
  });
}

/** A cell of a network that has no blocks. */
function cellOf({ cells }: Network, index: number): NetworkCell {
  const cell = cells[index];
  assert.ok(cell instanceof NetworkCell);
  return cell;
}

/** What changes a network between two calls. */
const CHANGES: readonly (readonly [string, (network: Network, images: Tensor) => void])[] = [
  ["a weight", (network) => add(cellOf(network, 0)._ops[0].parameters()[1])],
  ["a scale", (network) => add(cellOf(network, 0).preprocess0!.parameters()[1])],
  ["part of a weight", (network) => add(cellOf(network, 2).preprocess1!.parameters()[0].select(0, 3))],
  ["a running mean", (network) => add(cellOf(network, 0).preprocess1!.buffers()[0])],
  ["a running variance", (network) => add(cellOf(network, 0)._ops[1].buffers()[1])],
  ["all weights, loaded", (network) => loadOther(network)],
  [
    "a pass in training",
    (network, images) => {
      network.train();
      noGrad(() => network.forward(images));
      network.eval();
    },
  ],
  [
    "a step of training",
    (network, images) => {
      network.train();
      const optimizer = new SGD(network.parameters(), { learningRate: 0.5, momentum: 0, weightDecay: 0 });
      const loss = crossEntropy(network.forward(images).logits, tensor([1, 4], [2], { dtype: "int64" }));
      optimizer.step(grad([loss], optimizer.parameters));
      optimizer.dispose();
      network.eval();
    },
  ],
  ["nothing but the kernels' memory, given back", () => releaseKernelMemory()],
];

function add(values: Tensor): void {
  noGrad(() => aten.add_.Scalar(values, 0.5));
}

function loadOther(network: Network): void {
  using other = createNetwork("fused");
  network.loadStateDict(other.stateDict());
}

for (const [what, change] of CHANGES)
  test(
    `inference sees that this has changed since the last call: ${what}`,
    leakFree(() => {
      seed(12);
      using fused = createNetwork("fused").eval();
      const images = randn([2, 3, 8, 8]);
      const compare = () => {
        using wide = createNetwork("composite").eval();
        wide.loadStateDict(fused.stateDict());
        wide.to({ dtype: "float64" });
        const oracle = noGrad(() => wide.forward(images.to({ dtype: "float64" })).logits);
        const logits = noGrad(() => fused.forward(images).logits);
        assertClose(logits, oracle, 1e-5, "logits");
        return logits.toNumbers();
      };
      const before = compare();
      assert.deepEqual(compare(), before, "unchanged");
      change(fused, images);
      const after = compare();
      assert.equal(String(after) === String(before), what.startsWith("nothing"));
    }),
  );

test(
  "batches and images of other sizes in turn are planned anew",
  leakFree(() => {
    seed(15);
    using fused = createNetwork("fused").eval();
    using wide = createNetwork("composite").eval();
    wide.loadStateDict(fused.stateDict());
    wide.to({ dtype: "float64" });
    for (const [images, height, width] of [
      [1, 8, 8],
      [3, 8, 8],
      [1, 8, 8],
      [1, 9, 7],
      [1, 7, 9],
    ]) {
      const batch = randn([images, 3, height, width]);
      const oracle = noGrad(() => wide.forward(batch.to({ dtype: "float64" })).logits);
      const what = `${images} of ${height}×${width}`;
      assertClose(
        noGrad(() => fused.forward(batch).logits),
        oracle,
        1e-5,
        what,
      );
    }
  }),
);

test(
  "networks one after the other, each freed before the next, infer with their own weights",
  leakFree(() => {
    seed(13);
    const images = randn([1, 3, 8, 8]);
    for (let i = 0; i < 5; i++) {
      using fused = createNetwork("fused").eval();
      using wide = createNetwork("composite").eval();
      wide.loadStateDict(fused.stateDict());
      wide.to({ dtype: "float64" });
      const oracle = noGrad(() => wide.forward(images.to({ dtype: "float64" })).logits);
      assertClose(
        noGrad(() => fused.forward(images).logits),
        oracle,
        1e-5,
        `network ${i}`,
      );
    }
  }),
);

test(
  "one set of weights infers with the operations that each call names",
  leakFree(() => {
    seed(14);
    using supernet = new Supernet({
      nodes: 2,
      primitives: DARTS_PRIMITIVES,
      channels: 6,
      cells: 2,
      stemMultiplier: 1,
      imageChannels: 3,
      classes: 5,
      kernels: "fused",
    }).eval();
    const images = randn([2, 3, 8, 8]);
    const edges = 5;
    const logits = (chosen: number) => {
      const cell = {
        operations: ones([edges, DARTS_PRIMITIVES.length]),
        active: Array.from({ length: edges }, () => [chosen]),
      };
      return supernet.forward(images, { normal: cell, reduce: cell });
    };
    for (const chosen of [4, 5, 4, 6, 7, 1])
      assertClose(
        noGrad(() => logits(chosen)),
        logits(chosen),
        1e-5,
        DARTS_PRIMITIVES[chosen],
      );
  }),
);
