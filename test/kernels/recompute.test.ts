// Cells that keep only their inputs and compute again in backward: the same bytes as the others, from less memory.
import assert from "node:assert/strict";
import { test } from "node:test";
import { randomGenotype } from "../../src/genotype/random.ts";
import type { Module } from "../../src/nn/module.ts";
import { createGenerator } from "../../src/random/generator.ts";
import { releaseKernelMemory } from "../../src/space/fused-cell.ts";
import { Network } from "../../src/space/network.ts";
import { partialEdges } from "../../src/space/partial-channels.ts";
import { DARTS_PRIMITIVES } from "../../src/space/primitives.ts";
import { Supernet, type SupernetOptions } from "../../src/space/supernet.ts";
import { operator } from "../../src/tensor/aten.ts";
import { grad, noGrad } from "../../src/tensor/autograd.ts";
import { seed } from "../../src/tensor/runtime.ts";
import { scope } from "../../src/tensor/scope.ts";
import { Parameter, randn, type Tensor } from "../../src/tensor/tensor.ts";
import { leakFree } from "../support/leak-free.ts";
import { ANY_CHANNELS } from "./plans.ts";

/** How many random supernets and networks. */
const CASES = 8;

const OPTIONS: SupernetOptions = {
  channels: 8,
  cells: 3,
  nodes: 2,
  primitives: DARTS_PRIMITIVES,
  stemMultiplier: 3,
  imageChannels: 3,
  classes: 5,
};

/** Bytes of the output, of every gradient, and of every buffer after two passes, of which the second is undone. */
function results(net: Module, forward: () => Tensor, inputs: readonly Tensor[]): Map<string, Uint8Array> {
  const found = new Map<string, Uint8Array>();
  const put = (name: string, tensor: Tensor | undefined) => {
    if (tensor) found.set(name, new Uint8Array(Float64Array.from(tensor.toNumbers()).buffer));
  };
  const first = forward();
  // Its statistics move before the backward of the first: that must make no difference.
  forward();
  const all = [...net.namedParameters(), ...inputs.map((input, i) => [`input ${i}`, input] as const)];
  const cotangent = randn(first.shape);
  const gradients = grad(
    [first],
    all.map(([, tensor]) => tensor),
    { gradOutputs: [cotangent] },
  );
  put("output", first);
  for (const [i, [name]] of all.entries()) put(name, gradients[i]);
  for (const [name, buffer] of net.namedBuffers()) put(name, buffer);
  return found;
}

/** A random supernet's pass: candidates, active ones, partial channels, sizes and mode by `number`. */
function supernetResults(number: number, recompute: boolean): Map<string, Uint8Array> {
  const random = createGenerator(number, "recompute");
  const nodes = random.int(1, 3);
  const share = random.int(0, 1) === 1 ? 4 : undefined;
  const chosen = DARTS_PRIMITIVES.filter(() => random.int(0, 2) > 0);
  const apart =
    share === undefined && random.int(0, 2) === 0
      ? ANY_CHANNELS.filter((name) => name.startsWith("conv_7"))
      : [];
  const primitives = ["sep_conv_3x3", ...chosen.filter((name) => name !== "sep_conv_3x3"), ...apart];
  const edges = (nodes * (nodes + 3)) / 2;
  const some = () => [0, ...primitives.keys()].filter((k, i) => i === 0 || (k > 0 && random.int(0, 1) === 0));
  const active = random.int(0, 1) === 0 ? Array.from({ length: edges }, some) : undefined;
  seed(number);
  using net = new Supernet({
    ...OPTIONS,
    nodes,
    primitives,
    channels: 4 * random.int(1, 5),
    createEdge: share === undefined ? undefined : partialEdges(share),
    kernels: "fused",
    recompute,
  }).train(random.int(0, 3) > 0);
  using alphas = new Parameter(randn([edges, primitives.length]));
  using betas = new Parameter(randn([edges]));
  using images = new Parameter(randn([random.int(2, 9), 3, random.int(5, 12), random.int(5, 12)]));
  const cell = () => ({
    operations: alphas.softmax(1),
    edges: share === undefined ? undefined : betas.softmax(0),
    active,
  });
  const forward = () => net.forward(images, { normal: cell(), reduce: cell() });
  return results(net, forward, [images, alphas, betas]);
}

/** A random derived network's pass, with dropped paths. */
function networkResults(number: number, recompute: boolean): Map<string, Uint8Array> {
  const random = createGenerator(number, "recompute");
  const genotype = randomGenotype(random, { nodes: 3, primitives: ANY_CHANNELS });
  seed(number);
  using net = new Network({
    genotype,
    channels: 6,
    cells: 3,
    classes: 5,
    imageChannels: 3,
    imageSize: 12,
    stem: "cifar",
    auxiliary: false,
    kernels: "auto",
    recompute,
  });
  using images = new Parameter(randn([5, 3, 12, 12]));
  return results(net, () => net.forward(images, { probability: 0.3 }).logits, [images]);
}

for (let number = 1; number <= CASES; number++) {
  test(
    `random supernet ${number} and network ${number}: computed again, the bytes are the same`,
    leakFree(() => {
      assert.deepEqual(supernetResults(number, true), supernetResults(number, false));
      assert.deepEqual(networkResults(number, true), networkResults(number, false));
    }),
  );
}

const createStep = (recompute: boolean) => {
  seed(1);
  const net = new Supernet({ ...OPTIONS, channels: 16, cells: 6, nodes: 4, kernels: "fused", recompute });
  const images = randn([16, 3, 24, 24]);
  const mixture = { operations: randn([14, 8]).softmax(1) };
  const loss = () => net.forward(images, { normal: mixture, reduce: mixture }).sum();
  return { net, loss };
};

// Red zones keep apart what else lies in one place: see scripts/sanitize.mjs.
const SHARE = process.env["DARTS_CXXFLAGS"]?.includes("DARTS_RED_ZONES") ? 0.45 : 0.4;

test(
  "a supernet that computes again holds two fifths of the memory, gaps included: its cells take turns in one place",
  leakFree(() => {
    const [kept, again] = [false, true].map((recompute) => {
      const { net, loss } = createStep(recompute);
      releaseKernelMemory();
      for (let step = 0; step < 2; step++) scope(() => void grad([loss()], net.parameters()));
      net.dispose();
      return operator("darts::release_memory")() as number;
    });
    assert.ok(again! < SHARE * kept!, `${again} of ${kept} bytes`);
  }),
);

test(
  "weights that change before backward are an error, not another gradient",
  leakFree(() => {
    const { net, loss } = createStep(true);
    const value = loss();
    noGrad(() => {
      for (const weight of net.cells[0]!.parameters()) weight.copy_(randn(weight.shape));
    });
    assert.throws(() => grad([value], net.parameters()), /modified by an inplace operation/);
    net.dispose();
  }),
);

test(
  "cells of libtorch's operators cannot be computed again, and say so",
  leakFree(() => {
    using net = new Supernet({ ...OPTIONS, kernels: "composite", recompute: true });
    const mixture = { operations: randn([5, 8]).softmax(1) };
    const forward = () => net.forward(randn([2, 3, 8, 8]), { normal: mixture, reduce: mixture });
    assert.throws(forward, /recompute is true, but libtorch's operators compute these cells/);
  }),
);
