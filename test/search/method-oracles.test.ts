// Known numbers of the methods: schedules, projections, rules, prices, and what one method is of another.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type CellShape, countSupernet } from "../../src/genotype/counts.ts";
import { deriveSnasTwoEdges } from "../../src/genotype/discretize.ts";
import { derivedCells, findMethod } from "../../src/methods/table.ts";
import { SGD } from "../../src/optim/sgd.ts";
import { createGenerator } from "../../src/random/generator.ts";
import type { MethodContext, SearchMethod } from "../../src/search/method.ts";
import { createMethod, registerMethod } from "../../src/search/methods.ts";
import { edgeWeights } from "../../src/search/pc-darts.ts";
import { createResourcePrice, resourcesOf } from "../../src/search/resource-price.ts";
import { project } from "../../src/search/sdarts.ts";
import { Search } from "../../src/search/search.ts";
import { unrolledGradient } from "../../src/search/unrolled.ts";
import { DARTS_PRIMITIVES } from "../../src/space/primitives.ts";
import { Parameter, scalar, tensor } from "../../src/tensor/tensor.ts";
import { assertClose } from "../support/assert-close.ts";
import { counted, leakFree } from "../support/leak-free.ts";
import { fingerprint, toyConfig, toyDataset } from "../support/toy-problem.ts";

const CONTEXT: MethodContext = {
  weightDecay: 0,
  nodes: 4,
  primitives: DARTS_PRIMITIVES,
  epochs: 50,
  order: "first",
  archFromEpoch: 0,
  device: "cpu",
  channels: 16,
  cells: 8,
  batchSize: 64,
  imageSize: [32, 32],
  random: createGenerator(1, "test"),
};

function withMethod(
  name: string,
  context: Partial<MethodContext>,
  body: (method: SearchMethod) => void,
): void {
  const method = createMethod(name, {}, { ...CONTEXT, ...context });
  try {
    body(method);
  } finally {
    for (const alpha of method.alphas.values()) alpha.dispose();
  }
}

const SCHEDULES: readonly {
  readonly method: string;
  readonly figure: string;
  readonly epochs: number;
  readonly values: Readonly<Record<number, number>>;
}[] = [
  { method: "gdas", figure: "temperature", epochs: 250, values: { 0: 10, 1: 9.9602, 125: 5.0301, 249: 0.1 } },
  { method: "sdarts-rs", figure: "epsilon", epochs: 50, values: { 0: 0.03, 25: 0.165, 49: 0.2946 } },
  { method: "sdarts-adv", figure: "epsilon", epochs: 50, values: { 0: 0.03, 25: 0.165, 49: 0.2946 } },
  { method: "snas", figure: "temperature", epochs: 150, values: { 0: 1, 75: 0.515, 149: 0.0364667 } },
];

for (const { method: name, figure, epochs, values } of SCHEDULES) {
  test(
    `the ${figure} of ${name} goes its published way over ${epochs} epochs`,
    leakFree(() =>
      withMethod(name, { epochs }, (method) => {
        for (const [epoch, value] of Object.entries(values))
          assertClose(method.figures!(Number(epoch))[figure]!, value, 1e-5, `epoch ${epoch}`);
      }),
    ),
  );
}

test(
  "probabilities are clamped and normalised; where nothing is left, 1 stands at the former maximum",
  leakFree(() => {
    const rows = project(tensor([-0.1, 0.3, 0.9, -0.2, -0.1, -0.4], [2, 3], { dtype: "float64" }));
    assertClose(rows, tensor([0, 0.25, 0.75, 0, 1, 0], [2, 3], { dtype: "float64" }), 1e-12, "rows");
  }),
);

for (const name of ["sdarts-rs", "sdarts-adv"]) {
  test(
    `${name} trains the weights, and only those, under probabilities that are another distribution near the alphas'`,
    counted(() => {
      using search = new Search(toyConfig({ "search.method": name }), toyDataset());
      const { mixture } = search.method;
      const seen: Record<string, number[][]> = {};
      search.method.mixture = (purpose, epoch) => {
        const made = mixture(purpose, epoch);
        seen[purpose] = made.normal.operations.toRows();
        return made;
      };
      search.runStep();
      const clean = search.method.alphaRows().normal.map(softmax);
      const trained = seen["weights"]!;
      for (const row of trained)
        assertClose(
          row.reduce((a, b) => a + b),
          1,
          1e-6,
          "sum",
        );
      assert.notDeepEqual(trained.flat(), clean.flat());
      // Within the radius before the rows were divided by their sums, which lie within 8 radii of 1.
      for (const [edge, row] of trained.entries())
        for (const [k, p] of row.entries())
          assert.ok(Math.abs(p - clean[edge]![k]!) < 0.03 + 8 * 0.03 * p + 1e-6);
      search.validate();
      assertClose(
        seen["validation"]!.flat(),
        clean.flat(),
        1e-6,
        "a validation is under the alphas themselves",
      );
    }),
  );
}

function softmax(row: readonly number[]): number[] {
  const sum = row.reduce((total, a) => total + Math.exp(a), 0);
  return row.map((a) => Math.exp(a) / sum);
}

for (const name of ["sdarts-rs", "sdarts-adv"]) {
  test(
    `${name} at radius 0 is DARTS, with a softmax by edge and by node`,
    counted(() => {
      for (const softmax of ["edge", "node"]) {
        const losses = [name, "darts"].map((method) => {
          const radius = { "search.options.epsilon": 0, "search.options.epsilonMin": 0 };
          using search = new Search(
            toyConfig({
              "search.method": method,
              "search.options.softmax": softmax,
              ...(method === name && radius),
            }),
            toyDataset(),
          );
          return Array.from({ length: 4 }, () => search.runStep()).flatMap(({ trainLoss, archLoss }) => [
            trainLoss,
            archLoss!,
          ]);
        });
        assertClose(losses[0]!, losses[1]!, 1e-4, softmax);
      }
    }),
  );
}

for (const fixedReduction of [false, true]) {
  test(
    `the supernet of GDAS ${fixedReduction ? "with" : "without"} its fixed reduction cell has the weights that are counted`,
    counted(() => {
      const settings = { "search.method": "gdas", "search.options.fixedReduction": fixedReduction };
      const config = toyConfig({ ...settings, "search.channels": 8, "search.cells": 5, "train.channels": 4 });
      using search = new Search(config, toyDataset());
      const { nodes, primitives, stemMultiplier } = config.space;
      const cost = countSupernet({
        nodes,
        primitives,
        stemMultiplier,
        channels: 8,
        cells: 5,
        classes: 3,
        imageSize: 8,
        fixed: derivedCells(config).fixed,
      });
      const built = search.supernet.parameters().reduce((sum, { numel }) => sum + numel, 0);
      assert.equal(cost.params, built);
    }),
  );
}

for (const order of ["joint", "alternating"]) {
  test(
    `one-level is DARTS in the order ${order}, to the same bytes; its own order is joint`,
    counted(() => {
      const bytes = ["one-level", "darts"].map((method) => {
        using search = new Search(
          toyConfig({ "search.method": method, "search.order": order }),
          toyDataset(),
        );
        search.runStep();
        search.runStep();
        return fingerprint(search);
      });
      assert.deepEqual(bytes[0], bytes[1]);
      assert.equal(toyConfig({ "search.method": "one-level" }).search.order, "joint");
    }),
  );
}

test(
  "the edge weights of PC-DARTS are a softmax over the edges into each node",
  leakFree(() => {
    const betas = tensor(
      Array.from({ length: 14 }, (_, e) => Math.cos(0.8 * e)),
      [14],
      { dtype: "float64" },
    );
    const published = [
      [0.575247, 0.424753],
      [0.5342, 0.263111, 0.202689],
      [0.08023, 0.168348, 0.334991, 0.416431],
      [0.44918, 0.211362, 0.108633, 0.091321, 0.139503],
    ];
    assertClose(edgeWeights(betas, 4), published.flat(), 2e-6, "weights");
  }),
);

test(
  "PC-DARTS with all channels and without edge weights is DARTS, to the byte",
  counted(() => {
    const after = (settings: Record<string, unknown>) => {
      using search = new Search(toyConfig(settings), toyDataset());
      for (let i = 0; i < 3; i++) search.runStep();
      const { state: _, ...tensors } = fingerprint(search);
      return tensors;
    };
    const kernels = "composite";
    const options = { "search.options.partialChannels": 1, "search.options.edgeNormalization": false };
    assert.deepEqual(after({ kernels, "search.method": "pc-darts", ...options }), after({ kernels }));
  }),
);

test(
  "GDAS computes one operation of each edge, weighs it by 1, and sends its gradient to the alphas of all",
  leakFree(() =>
    withMethod("gdas", {}, (method) => {
      const { normal } = method.mixture("weights", 0);
      const rows = normal.operations.toRows();
      for (const [edge, row] of rows.entries()) {
        const [chosen, ...others] = normal.active![edge]!;
        assert.equal(others.length, 0);
        for (const [k, weight] of row.entries()) assertClose(weight, k === chosen ? 1 : 0, 1e-6, "weight");
      }
      const again = method.mixture("weights", 0).normal.active;
      assert.notDeepEqual(again, normal.active, "the next pass draws anew");
      const validations = [1, 2].map(() => method.mixture("validation", 0).normal.active);
      assert.deepEqual(validations[0], validations[1], "a validation does not draw");
    }),
  ),
);

test("SNAS keeps the two edges whose most probable operation is most probable, none included", () => {
  const alphas = [
    [0, 1, 0],
    [3, 0, 0],
    [0, 0, 2],
    [0, 0.5, 0],
    [0, 0, 1],
  ];
  const edges = deriveSnasTwoEdges({ alphas }, ["none", "skip_connect", "sep_conv_3x3"]);
  assert.deepEqual(edges, [
    ["none", 1],
    ["skip_connect", 0],
    ["sep_conv_3x3", 0],
    ["sep_conv_3x3", 2],
  ]);
});

test("the published formulas give the resources of an operation", () => {
  const cell: CellShape = { channels: 16, reduction: false, sizeIn: [32, 32], size: [32, 32] };
  const [c, y2] = [16, 32 * 32];
  const sep = 2 * (9 * c + c * c);
  assert.deepEqual(resourcesOf("sep_conv_3x3", 0, cell), {
    parameters: sep,
    macs: sep * y2,
    memory: y2 * 8 * c + sep,
  });
  assert.deepEqual(resourcesOf("max_pool_3x3", 0, cell), {
    parameters: 0,
    macs: 9 * y2 * c,
    memory: 2 * y2 * c,
  });
  assert.deepEqual(resourcesOf("none", 0, cell), { parameters: 0, macs: 0, memory: 0 });
  const halving: CellShape = { channels: 32, reduction: true, sizeIn: [32, 32], size: [16, 16] };
  const dil = 25 * 32 + 32 * 32;
  assert.deepEqual(resourcesOf("dil_conv_5x5", 1, halving), {
    parameters: dil,
    macs: dil * 256,
    memory: 256 * 7 * 32 + dil,
  });
  assert.equal(resourcesOf("skip_connect", 0, halving).memory, 2 * 256 * (4 * 32 + 16) + 32 * 32);
  assert.equal(resourcesOf("skip_connect", 2, halving).memory, 2 * 256 * 32);
});

test(
  "a price is the mean over the cells of each type, on either scale, of one figure or of all",
  leakFree(() => {
    // One node, one normal cell, two reduction cells whose edges are all of stride 2.
    const shape: MethodContext = { ...CONTEXT, nodes: 1, cells: 3, channels: 2, imageSize: [8, 8] };
    const primitives = ["none", "sep_conv_3x3"] as const;
    const weights = tensor([0.25, 0.75, 0.5, 0.5], [2, 2], { dtype: "float64" });
    const priceOf = (options: Parameters<typeof createResourcePrice>[1]) =>
      createResourcePrice({ ...shape, primitives }, options)(weights, weights).item();
    const params = (c: number) => 2 * (9 * c + c * c);
    const [normal, reduce] = [params(2), (params(4) + params(8)) / 2];
    const linear = priceOf({ kind: "parameters", scale: "linear", reduceWeight: 0.5 });
    assertClose(linear, 1.25 * (normal + 0.5 * reduce), 1e-12, "parameters");
    const log = priceOf({ kind: "parameters", scale: "log", reduceWeight: 0 });
    assertClose(log, Math.log(0.75 * normal) + Math.log(0.5 * normal), 1e-12, "logarithms");
    const all = priceOf({ kind: "all", scale: "linear", reduceWeight: 0 });
    const { macs, memory } = resourcesOf("sep_conv_3x3", 0, {
      channels: 2,
      reduction: false,
      sizeIn: [8, 8],
      size: [8, 8],
    });
    assertClose(all, 1.25 * 0.43 * (2 * normal + macs / 4000 + memory / 100), 1e-12, "all");
  }),
);

test(
  "the unrolled gradient looks ahead as Nesterov's step does",
  leakFree(() => {
    const float64 = { dtype: "float64" } as const;
    const [momentum, weightDecay, learningRate] = [0.9, 0.1, 0.05];
    const [a, w] = [new Parameter(scalar(2, float64)), new Parameter(scalar(-2, float64))];
    const optimizer = new SGD([w], { learningRate, momentum, weightDecay, nesterov: true });
    const slope = () => w.sub(a).mul(2);
    for (const withBuffer of [false, true]) {
      const start = w.item();
      const { gradients } = unrolledGradient(
        {
          weights: [w],
          alphas: [a],
          trainLoss: () => w.sub(a).mul(w.sub(a)),
          validLoss: () => a.mul(w).sub(a.mul(2)).add(1),
        },
        {
          ...{ learningRate, momentum, weightDecay, nesterov: true },
          momentumBuffer: () => optimizer.stateOf(0, "momentum_buffer"),
        },
      );
      assert.equal(w.item(), start);
      optimizer.step([slope()]);
      // dL_V/da at the weight that the real step reaches, and the step's own derivative in a: 2ξ(1 + µ).
      const expected = w.item() - 2 + 2 * learningRate * (1 + momentum) * a.item();
      assertClose(gradients[0]!.item(), expected, 1e-9, withBuffer ? "with momentum" : "first step");
    }
    optimizer.dispose();
    a.dispose();
    w.dispose();
  }),
);

test(
  "a method of the user's own is found by its name and given its options",
  leakFree(() => {
    const darts = findMethod("darts");
    const { options } = findMethod("gdas");
    let given: unknown;
    registerMethod({ ...darts, name: "mine-too", options }, (context, values) => {
      given = values;
      return createMethod("darts", {}, context);
    });
    const method = createMethod("mine-too", { temperature: 3 }, CONTEXT);
    assert.deepEqual(given, { temperature: 3, temperatureMin: 0.1, fixedReduction: false });
    for (const alpha of method.alphas.values()) alpha.dispose();
    assert.throws(() => createMethod("gdass", {}, CONTEXT), /did you mean 'gdas'/);
  }),
);
