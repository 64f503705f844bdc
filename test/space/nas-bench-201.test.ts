// NAS-Bench-201's space: supernet and derived network against PyTorch, and the contract of every method that searches it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { resolveConfig } from "../../src/config/load.ts";
import { countNetwork, countSupernet } from "../../src/genotype/counts.ts";
import { edgesOfCell } from "../../src/genotype/genotype.ts";
import { formatGenotype, parseGenotype } from "../../src/genotype/parse.ts";
import { crossEntropy } from "../../src/nn/loss.ts";
import type { Module } from "../../src/nn/module.ts";
import { largestGenotype } from "../../src/run/plan.ts";
import { checkConfig, checkData } from "../../src/run/preflight.ts";
import { Search } from "../../src/search/search.ts";
import { Network } from "../../src/space/network.ts";
import { findSpace } from "../../src/space/spaces.ts";
import { Supernet } from "../../src/space/supernet.ts";
import { grad } from "../../src/tensor/autograd.ts";
import { scope } from "../../src/tensor/scope.ts";
import { type Tensor, zeros } from "../../src/tensor/tensor.ts";
import { Training } from "../../src/train/training.ts";
import { assertAllClose, assertClose } from "../support/assert-close.ts";
import { openFixture } from "../support/fixtures.ts";
import { counted, leakFree } from "../support/leak-free.ts";
import { mistake } from "../support/mistake.ts";
import { fingerprint, toyConfig, toyDataset } from "../support/toy-problem.ts";

const SPACE = findSpace("nas-bench-201");
const fixture = openFixture("nas-bench-201");
const settings = fixture.json<{
  arch: string;
  channels: number;
  cells: number;
  classes: number;
  size: number;
}>("hyperparameters");
const TOLERANCE = 1e-9;

const createSupernet = (shape: { channels: number; cells: number; classes: number }) =>
  new Supernet({ ...SPACE, nodes: SPACE.nodes!, stemMultiplier: 1, imageChannels: 3, ...shape });

const createNetwork = (shape: { channels: number; cells: number; classes: number }, auxiliary = false) =>
  new Network({
    genotype: parseGenotype(settings.arch),
    imageChannels: 3,
    imageSize: settings.size,
    stem: "cifar",
    auxiliary,
    ...shape,
  });

function isPyTorchs<Net extends Module>(
  name: string,
  net: Net,
  forward: (net: Net, images: Tensor) => Tensor,
  more: readonly [name: string, leaf: Tensor][] = [],
): void {
  net.loadStateDict(fixture.under(`${name}/weights`));
  const logits = forward(net, fixture.tensor("images"));
  assertClose(logits, fixture.tensor(`${name}/logits`), TOLERANCE, "logits");
  const loss = crossEntropy(logits, fixture.tensor("labels"));
  assertClose(loss, fixture.tensor(`${name}/loss`), TOLERANCE, "loss");
  const expected = fixture.under(`${name}/grads`);
  const named = [...net.namedParameters()].filter(([key]) => expected.has(key));
  const gradients = grad(
    [loss],
    [...named.map(([, parameter]) => parameter), ...more.map(([, leaf]) => leaf)],
  );
  assert.equal(named.length, expected.size);
  assertAllClose(new Map(named.map(([key], i) => [key, gradients[i]!])), expected, TOLERANCE, "gradient of");
  for (const [i, [key]] of more.entries())
    assertClose(gradients[named.length + i]!, fixture.tensor(`${name}/grad_${key}`), TOLERANCE, key);
  const buffers = new Map([...net.namedBuffers()].filter(([key]) => !key.endsWith("tracked")));
  assertAllClose(buffers, fixture.under(`${name}/buffers_after`), TOLERANCE, "after");
}

test(
  "the supernet, its gradients of weights and alphas and its statistics are PyTorch's",
  leakFree(() => {
    using net = createSupernet(settings).to({ dtype: "float64" });
    const alphas = fixture.tensor("alphas").setRequiresGrad();
    const mix = () => ({ operations: alphas.softmax(1) });
    isPyTorchs("supernet", net, (own, images) => own.forward(images, { normal: mix(), reduce: mix() }), [
      ["alphas", alphas],
    ]);
  }),
);

test(
  "the network of a cell, its gradients and its statistics are PyTorch's",
  leakFree(() => {
    using net = createNetwork(settings).to({ dtype: "float64" });
    isPyTorchs("network", net, (own, images) => own.forward(images).logits);
  }),
);

test(
  "supernet and network have as many weights as are counted, with the auxiliary head too",
  leakFree(() => {
    const weightsOf = (net: Module) => net.parameters().reduce((sum, { numel }) => sum + numel, 0);
    const shape = { channels: 16, cells: 17, classes: 10 };
    using supernet = createSupernet(shape);
    const { nodes = 0, primitives, name } = SPACE;
    assert.equal(weightsOf(supernet), countSupernet({ ...shape, nodes, primitives, space: name }).params);
    using network = createNetwork({ ...shape }, false);
    const { params, paramsWithAux } = countNetwork(parseGenotype(settings.arch), shape);
    assert.equal(weightsOf(network), params);
    using withHead = new Network({
      genotype: parseGenotype(settings.arch),
      ...shape,
      imageChannels: 3,
      imageSize: 32,
      stem: "cifar",
      auxiliary: true,
    });
    assert.equal(weightsOf(withHead), paramsWithAux);
    assert.deepEqual(withHead.forward(zeros([2, 3, 32, 32])).auxiliary?.shape, [2, 10]);
  }),
);

const config = (more: Readonly<Record<string, unknown>> = {}) =>
  toyConfig({
    "space.name": "nas-bench-201",
    "space.nodes": 3,
    "search.channels": 4,
    "search.cells": 5,
    "train.cells": 5,
    ...more,
  });

const METHODS: readonly (readonly [method: string, settings?: Readonly<Record<string, unknown>>])[] = [
  ["darts"],
  ["darts", { "search.order": "second" }],
  ["darts", { "search.order": "joint" }],
  ["darts", { "search.options.softmax": "node" }],
  ["darts", { "budget.parameters": 9_000 }],
  ["one-level", { "search.order": "joint" }],
  ["pc-darts", { "search.options.partialChannels": 2 }],
  ["gdas", { "search.order": "first" }],
  ["snas", { "search.options.keep": "every-edge", "search.options.resourceWeight": 0.01 }],
  ["sdarts-rs"],
  ["sdarts-adv", { "search.options.softmax": "node" }],
  ["r-darts"],
];
for (const [method, more = {}] of METHODS) {
  const own = { "search.method": method, "search.archWeightDecay": 0, ...more };
  const title = [method, ...Object.values(more)].join(", ");
  test(
    `${title}: alphas of six edges move, the cell has one operation an edge, and it resumes to the same bytes`,
    counted(() => {
      checkConfig(config(own), { searches: true });
      using search = new Search(config(own), toyDataset());
      const before = search.method.alphaRows();
      assert.deepEqual([before.normal.length, before.normal[0]!.length, before.reduce.length], [6, 5, 0]);
      const go = (at: Search, steps: number) =>
        Array.from({ length: steps }, () => {
          const { trainLoss } = at.runStep();
          if (at.step === at.stepsPerEpoch) at.endEpoch(at.validate());
          return trainLoss;
        });
      go(search, 3);
      using other = new Search(config(own), toyDataset());
      scope(() => other.restore(search.snapshot()));
      assert.deepEqual(go(search, 4), go(other, 4));
      assert.deepEqual(fingerprint(search), fingerprint(other));
      const after = search.method.alphaRows().normal;
      for (const [edge, row] of after.entries())
        for (const [k, alpha] of row.entries()) assert.notEqual(alpha, before.normal[edge]![k]);
      const genotype = search.method.derive();
      assert.deepEqual(
        edgesOfCell(genotype.normal).map(([op]) => op),
        after.map((row) => SPACE.primitives[row.indexOf(Math.max(...row))]),
      );
      assert.deepEqual(parseGenotype(formatGenotype(genotype)), genotype);
      assert.match(formatGenotype(genotype), /^\|/);
    }),
  );
}

test(
  "random draws cells of it, none on some of their edges, trains each and resumes to the same bytes",
  counted(() => {
    const own = config({ "search.method": "random", "search.options.draws": 3 });
    checkConfig(own, { searches: true });
    using search = new Search(own, toyDataset());
    const go = (at: Search) => {
      const losses: number[] = [];
      while (at.step < at.stepsPerEpoch) losses.push(at.runStep().trainLoss);
      at.endEpoch(at.validate());
      return losses;
    };
    go(search);
    using other = new Search(own, toyDataset());
    scope(() => other.restore(search.snapshot()));
    const cells = [search.method.derive()];
    for (let epoch = 1; epoch < 3; epoch++) {
      assert.deepEqual(go(search), go(other));
      cells.push(search.method.derive());
    }
    assert.deepEqual(fingerprint(search), fingerprint(other));
    assert.deepEqual(
      cells.map(({ normal }) => edgesOfCell(normal).length),
      [6, 6, 6],
    );
    assert.ok(cells.some(({ normal }) => edgesOfCell(normal).some(([op]) => op === "none")));
    for (const cell of cells) assert.deepEqual(parseGenotype(formatGenotype(cell)), cell);
  }),
);

test("the presets are the benchmark's: its network of 17 places, 200 epochs of Nesterov's SGD at 0.1", () => {
  for (const name of ["darts-nas-bench-201", "gdas-nas-bench-201"]) {
    const { space, search, train } = resolveConfig({ preset: name });
    assert.deepEqual([space.name, search.channels, search.cells], ["nas-bench-201", 16, 17]);
    assert.deepEqual([train.channels, train.cells, train.epochs, train.batchSize], [16, 17, 200, 256]);
    assert.deepEqual([train.learningRate, train.nesterov, train.weightDecay], [0.1, true, 5e-4]);
  }
});

test("methods that keep other cells say why they do not search it, before any work", () => {
  const refusal = (flags: Readonly<Record<string, unknown>>) =>
    mistake(() => checkConfig(config(flags), { searches: true }));
  for (const [method, options, reason] of [
    ["p-darts", {}, /it decides which two edges each node keeps/],
    ["sgas", {}, /it decides which two edges each node keeps/],
    ["i-darts", {}, /it decides which pairs of edge and operation/],
    ["snas", { "search.options.keep": "two-edges" }, /set it to every-edge/],
    ["gdas", { "search.options.fixedReduction": true }, /which it does not have; set it to false/],
  ] as const) {
    const message = refusal({ "search.method": method, ...options });
    assert.match(message, new RegExp(`^search.method is ${method}, and space.name is nas-bench-201: `));
    assert.match(message, reason);
  }
});

test(
  "fused kernels and recomputation, which do not cover it, are refused by name before any work, and by its cells",
  leakFree(() => {
    const genotype = parseGenotype(settings.arch);
    for (const [key, value, message] of [
      ["kernels", "fused", /kernels is fused, but .* cells of two inputs/],
      ["recompute", true, /recompute is true, but/],
      ["storage", "bf16", /storage is bf16, but/],
    ] as const) {
      const early = new RegExp(
        `^${key} is ${value}, but space.name is nas-bench-201: its cells read one cell, .* Set ${key} to `,
      );
      for (const intent of [{ searches: true }, { searches: false, trains: "found" }] as const)
        assert.match(
          mistake(() => checkConfig(config({ [key]: value }), intent)),
          early,
        );
      // The space of a given cell counts, not that of the settings.
      const darts = toyConfig({ [key]: value });
      assert.match(
        mistake(() => checkConfig(darts, { searches: false, trains: genotype })),
        early,
      );
      assert.doesNotThrow(() => checkConfig(darts, { searches: true, trains: "found" }));
      using search = new Search(config({ [key]: value }), toyDataset());
      assert.match(
        mistake(() => search.runStep()),
        message,
      );
    }
  }),
);

test(
  "its cells are trained from scratch, with dropped paths, and planned by the largest",
  counted(() => {
    const largest = largestGenotype(config());
    assert.deepEqual(new Set(edgesOfCell(largest.normal).map(([op]) => op)), new Set(["nor_conv_3x3"]));
    const small = config({ "train.dropPath": 0.3, "train.auxiliary": false });
    checkData(small, toyDataset(), { searches: true, trains: "found" });
    using training = new Training(small, parseGenotype(settings.arch), toyDataset({ images: 48 }));
    const losses = Array.from({ length: 12 }, () => {
      const loss = training.runStep();
      if (training.step === training.stepsPerEpoch) training.endEpoch();
      return loss;
    });
    assert.ok(losses.at(-1)! < losses[0]!, losses.join(" "));
  }),
);
