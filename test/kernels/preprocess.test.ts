// The preprocessing of the fused cell against the composite one in float64: values, all gradients and running
// statistics, over channels, parts, odd sizes, reductions, scale and shift.
import assert from "node:assert/strict";
import { test } from "node:test";
import { BlockedImages } from "../../src/space/blocked.ts";
import { type FusedCell, fuseCell } from "../../src/space/fused-cell.ts";
import type { MixedOp } from "../../src/space/mixed-op.ts";
import { FactorizedReduce, ReLUConvBN } from "../../src/space/operations.ts";
import { mixedPlan } from "../../src/space/supernet.ts";
import { grad, noGrad } from "../../src/tensor/autograd.ts";
import { seed, setThreads } from "../../src/tensor/runtime.ts";
import { Parameter, randn, type Tensor, zeros } from "../../src/tensor/tensor.ts";
import { leakFree } from "../support/leak-free.ts";
import { type Case, compositeBody, createEdges, withGradients } from "./composite.ts";
import { assertSameResults, type Result } from "./results.ts";

/** An input in parts of some channels; `halved` by the preprocessing. */
interface Input {
  readonly parts: number;
  readonly channels: number;
  readonly halved?: boolean;
}

interface PreprocessCase extends Case {
  readonly inputs: readonly [Input, Input];
  readonly affine?: boolean;
}

const BODY: Case = {
  images: 3,
  channels: 16,
  height: 8,
  width: 8,
  nodes: 1,
  reduction: false,
  // No poolings: where a scale is 0 their normalisation divides by a deviation of 0 and enlarges rounding.
  primitives: ["none", "skip_connect", "sep_conv_3x3"],
};
const STEM = { parts: 1, channels: 48 };
const CELL = { parts: 4, channels: 16 };
const NORMAL: PreprocessCase = { ...BODY, inputs: [STEM, CELL] };

const CASES: Record<string, PreprocessCase> = {
  "the first cell": { ...NORMAL, inputs: [STEM, STEM] },
  "a second cell": NORMAL,
  "a cell after a reduction": {
    ...NORMAL,
    channels: 32,
    inputs: [
      { ...CELL, halved: true },
      { parts: 4, channels: 32 },
    ],
  },
  "a reduction cell": { ...NORMAL, reduction: true, channels: 32, inputs: [CELL, CELL] },
  "four channels": {
    ...NORMAL,
    channels: 4,
    inputs: [
      { parts: 1, channels: 12 },
      { parts: 4, channels: 4 },
    ],
  },
  "seven channels": {
    ...NORMAL,
    channels: 7,
    inputs: [
      { parts: 1, channels: 21 },
      { parts: 4, channels: 7 },
    ],
  },
  "eight channels, halved": {
    ...NORMAL,
    channels: 8,
    inputs: [
      { parts: 4, channels: 4, halved: true },
      { parts: 4, channels: 8 },
    ],
  },
  "twenty channels, halved, of an odd image": {
    ...NORMAL,
    channels: 20,
    height: 5,
    width: 7,
    inputs: [
      { parts: 4, channels: 10, halved: true },
      { parts: 4, channels: 20 },
    ],
  },
  "thirty-six channels": {
    ...NORMAL,
    channels: 36,
    images: 2,
    inputs: [
      { parts: 1, channels: 108 },
      { parts: 4, channels: 36 },
    ],
  },
  "seventy-two channels, halved": {
    ...NORMAL,
    channels: 72,
    images: 2,
    height: 4,
    width: 5,
    inputs: [
      { parts: 4, channels: 36, halved: true },
      { parts: 4, channels: 72 },
    ],
  },
  "both inputs halved": {
    ...NORMAL,
    inputs: [
      { ...CELL, halved: true },
      { parts: 3, channels: 5, halved: true },
    ],
  },
  "one image": { ...NORMAL, images: 1 },
  "more images than chunks": { ...NORMAL, images: 11, channels: 4, height: 3, width: 3 },
  "an image wider than a tile": { ...NORMAL, images: 1, height: 3, width: 133 },
  "an image of two pixels": { ...NORMAL, height: 1, width: 2 },
};

/** The size of an input whose half is the state: odd when the state's is, so that a border is read beyond. */
const inputSize = (size: number, { halved }: Input) => (halved ? 2 * size - (size % 2) : size);

type Preprocess = ReLUConvBN | FactorizedReduce;

/** Layers of the preprocessing; a scale and a shift, where it has them, that are no constants, one scale 0. */
function createPreprocess({ channels, inputs, affine = false }: PreprocessCase): [Preprocess, Preprocess] {
  const [first, second] = inputs.map(({ parts, channels: each, halved }) =>
    halved
      ? new FactorizedReduce(parts * each, channels, affine)
      : new ReLUConvBN(parts * each, channels, affine),
  );
  for (const layer of [first, second])
    for (const [name, parameter] of layer.namedParameters())
      if (parameter.shape.length === 1)
        noGrad(() => {
          parameter.copy_(randn([channels]));
          if (name.endsWith("weight")) parameter.select(0, 0).copy_(zeros([]));
        });
  return [first, second];
}

interface Cell {
  readonly preprocess: readonly [Preprocess, Preprocess];
  readonly edges: readonly MixedOp[];
}

function createCell(it: PreprocessCase, training: boolean): Cell {
  seed(7);
  const cell = { preprocess: createPreprocess(it), edges: createEdges(it) };
  // Running statistics that are not those of a new layer.
  for (const layer of layersOf(cell)) {
    layer.train(training);
    for (const [name, buffer] of layer.namedBuffers())
      if (!name.endsWith("tracked")) noGrad(() => buffer.copy_(randn(buffer.shape).mul(0.1).add(buffer)));
  }
  return cell;
}

function fuse({ channels, nodes, reduction, primitives }: Case, { preprocess, edges }: Cell): FusedCell {
  return fuseCell(mixedPlan(edges, { channels, preprocess, nodes, reduction, primitives })!)!;
}

const layersOf = ({ preprocess, edges }: Cell) => [...preprocess, ...edges];
const named = (cell: Cell) =>
  layersOf(cell).flatMap((layer, i) => [...layer.namedParameters(`layer ${i} `)] as [string, Tensor][]);

/** The same inputs for every run, of a type. */
function createInputs(it: PreprocessCase, dtype: "float32" | "float64"): Parameter[] {
  seed(8);
  return it.inputs.map((input) => {
    const shape = [
      it.images,
      input.parts * input.channels,
      inputSize(it.height, input),
      inputSize(it.width, input),
    ];
    return new Parameter(randn(shape).to({ dtype }));
  });
}

const createMixture = (it: PreprocessCase) => {
  seed(9);
  return randn([edgeCount(it), it.primitives.length]).softmax(1);
};
const edgeCount = ({ nodes }: Case) => (nodes * (nodes + 3)) / 2;

function run(it: PreprocessCase, cell: Cell, wide: boolean): Result & { free(): void } {
  const dtype = wide ? "float64" : "float32";
  const [s0, s1] = createInputs(it, dtype);
  const mixture = createMixture(it).to({ dtype });
  let output: Tensor;
  if (wide) {
    const [x0, x1] = cell.preprocess.map((layer, i) => layer.forward([s0, s1][i]));
    output = compositeBody(cell.edges, it.nodes, x0, x1, { operations: mixture });
  } else {
    const [b0, b1] = [s0, s1].map((input, i) => BlockedImages.from(input, it.inputs[i].parts));
    output = fuse(it, cell).forward(b0, b1, { training: cell.edges[0].training, mixture }).toImages();
  }
  seed(10);
  const cotangent = randn(output.shape).to({ dtype });
  const gradients = withGradients(output, cotangent, new Map([["s0", s0], ["s1", s1], ...named(cell)]));
  const statistics = new Map(layersOf(cell).flatMap((layer, i) => [...layer.namedBuffers(`layer ${i} `)]));
  return {
    output,
    gradients,
    statistics,
    free: () => {
      for (const owned of [s0, s1, ...layersOf(cell)]) owned.dispose();
    },
  };
}

function compare(it: PreprocessCase, training = true): void {
  const mine = run(it, createCell(it, training), false);
  const wide = createCell(it, training);
  for (const layer of layersOf(wide)) layer.to({ dtype: "float64" });
  const oracle = run(it, wide, true);
  assertSameResults(mine, oracle);
  mine.free();
  oracle.free();
}

for (const [name, it] of Object.entries(CASES)) {
  for (const affine of [false, true]) {
    test(
      `${name}${affine ? ", with scale and shift" : ""}: as the composite layers in float64`,
      leakFree(() => compare({ ...it, affine })),
    );
    test(
      `${name}${affine ? ", with scale and shift" : ""}, in evaluation: as the composite layers in float64`,
      leakFree(() => compare({ ...it, affine }, false)),
    );
  }
}

test(
  "all gradients have the same bytes on 1, 2, 3 and 11 threads, and again",
  leakFree(() => {
    for (const name of ["a cell after a reduction", "twenty channels, halved, of an odd image"]) {
      const it = { ...CASES[name], images: 13, affine: true };
      const numbers = (threads: number) => {
        setThreads(threads);
        const result = run(it, createCell(it, true), false);
        const all = [result.output, ...result.gradients.values(), ...result.statistics.values()];
        const values = all.map((tensor) => tensor!.toNumbers());
        result.free();
        return values;
      };
      const once = numbers(1);
      for (const threads of [1, 2, 3, 11]) assert.deepEqual(numbers(threads), once);
    }
    setThreads(1);
  }),
);

test(
  "one tensor as both inputs has the sum of both gradients, and each gradient alone is that of a full step",
  leakFree(() => {
    const it = { ...CASES["the first cell"], affine: true };
    const cell = createCell(it, true);
    const fused = fuse(it, cell);
    const mixture = { training: true, mixture: createMixture(it) };
    const [s0, s1] = createInputs(it, "float32");
    const squares = (x: Tensor) => x.mul(x);
    const values = s0.detach();
    const loss = (a: Tensor, b: Tensor) =>
      squares(fused.forward(BlockedImages.from(a), BlockedImages.from(b), mixture).toImages()).sum();
    noGrad(() => s1.copy_(values));
    const weights = named(cell).map(([, parameter]) => parameter);
    const [first, second, ...ofWeights] = grad([loss(s0, s1)], [s0, s1, ...weights]);
    const both = BlockedImages.from(s0);
    const [sum] = grad([squares(fused.forward(both, both, mixture).toImages()).sum()], [s0]);
    const total = first!.add(second!).toNumbers();
    for (const [i, value] of sum!.toNumbers().entries())
      assert.ok(Math.abs(value - total[i]) <= 1e-5 * Math.abs(total[i]) + 1e-6);
    const [onlyFirst] = grad([loss(s0, values)], [s0]);
    assert.deepEqual(onlyFirst!.toNumbers(), first!.toNumbers());
    const [onlySecond] = grad([loss(values, s1)], [s1]);
    assert.deepEqual(onlySecond!.toNumbers(), second!.toNumbers());
    const alone = grad([loss(values, values)], weights);
    for (const [i, gradient] of alone.entries())
      assert.deepEqual(gradient!.toNumbers(), ofWeights[i]!.toNumbers());
    for (const owned of [s0, s1, ...layersOf(cell)]) owned.dispose();
  }),
);
