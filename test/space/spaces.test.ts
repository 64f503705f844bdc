// RobustDARTS' spaces: what stands on each edge, in the supernet, in the alphas and in the cells derived and drawn.
import assert from "node:assert/strict";
import { test } from "node:test";
import { resolveConfig } from "../../src/config/load.ts";
import { type CellEdges, edgesByNode } from "../../src/genotype/genotype.ts";
import { checkGenotype } from "../../src/genotype/parse.ts";
import { randomGenotype } from "../../src/genotype/random.ts";
import { createGenerator } from "../../src/random/generator.ts";
import { largestGenotype } from "../../src/run/plan.ts";
import { Search } from "../../src/search/search.ts";
import { operationBuilder } from "../../src/space/operations.ts";
import { findSpace, spaceCandidates } from "../../src/space/spaces.ts";
import { SupernetCell } from "../../src/space/supernet.ts";
import { scope } from "../../src/tensor/scope.ts";
import { randn } from "../../src/tensor/tensor.ts";
import { assertClose } from "../support/assert-close.ts";
import { counted, leakFree } from "../support/leak-free.ts";
import { fingerprint, toyConfig, toyDataset } from "../support/toy-problem.ts";

const S1 = findSpace("s1");

function isInS1(cell: "normal" | "reduce", edges: CellEdges): void {
  for (const [node, own] of edgesByNode(edges).entries())
    for (const [op, from] of own) {
      const candidates = S1.edges!({ cell, node, source: from });
      assert.ok(candidates.includes(op), `${op} on edge ${from} → ${node} of the ${cell} cell`);
    }
}

test("a named space brings its candidates; others, or other nodes in s1, are refused where they were written", () => {
  assert.deepEqual(resolveConfig({ flags: { "space.name": "s3" } }).space.primitives, [
    "none",
    "skip_connect",
    "sep_conv_3x3",
  ]);
  const again = { "space.name": "s2", "space.primitives": ["skip_connect", "sep_conv_3x3"] };
  assert.deepEqual(resolveConfig({ flags: again }).space.primitives, again["space.primitives"]);
  const refuse = (flags: Record<string, unknown>, message: RegExp) =>
    assert.throws(() => resolveConfig({ flags }), { name: "UserError", message });
  refuse(
    { "space.name": "s2", "space.primitives": ["none", "sep_conv_3x3"] },
    /^--space-primitives .*: space\.primitives is none, sep_conv_3x3, but the space s2 has skip_connect/,
  );
  refuse(
    { "space.name": "s1", "space.nodes": 2 },
    /^--space-nodes 2: space\.nodes is 2, but the space s1 has 4/,
  );
});

const METHODS: readonly (readonly [method: string, options?: Readonly<Record<string, unknown>>])[] = [
  ["darts"],
  ["darts", { softmax: "node" }],
  ["i-darts", { pairs: 5 }],
  ["pc-darts", { partialChannels: 2 }],
  ["pc-darts", { partialChannels: 2, edgeNormalization: false, softmax: "node" }],
  ["gdas"],
  ["gdas", { fixedReduction: true }],
  ["snas"],
  ["snas", { keep: "every-edge" }],
  ["sgas", { decideFromEpoch: 0 }],
  ["sdarts-rs"],
  ["sdarts-rs", { softmax: "node" }],
  ["sdarts-adv"],
  ["p-darts", { dropOperations: [0, 1, 0], skipDropout: [0, 0, 0] }],
  ["r-darts"],
];
for (const [method, options = {}] of METHODS) {
  const title = [method, ...Object.entries(options).map((option) => option.join(" "))].join(", ");
  test(
    `s1 by ${title}: two operations an edge in supernet, alphas and cell; fused and composite alike; resumable`,
    counted(() => {
      const begin = (kernels: string) =>
        new Search(
          toyConfig({
            kernels,
            "search.method": method,
            "search.order": "first",
            "space.name": "s1",
            "space.nodes": 4,
            "search.channels": 4,
            "train.channels": 4,
            ...Object.fromEntries(
              Object.entries(options).map(([key, value]) => [`search.options.${key}`, value]),
            ),
          }),
          toyDataset(),
        );
      const losses = ["auto", "composite"].map((kernels) => {
        using search = begin(kernels);
        for (const cell of search.supernet.cells)
          for (const edge of cell instanceof SupernetCell ? cell._ops : [])
            assert.equal((edge as unknown as { _ops: unknown[] })._ops.filter(Boolean).length, 2);
        const found = Array.from({ length: 5 }, () => {
          const { trainLoss } = search.runStep();
          if (search.step === search.stepsPerEpoch) search.endEpoch(search.validate());
          return trainLoss;
        });
        const { normal, reduce } = search.method.alphaRows();
        for (const rows of [normal, reduce])
          for (const row of rows) assert.ok(row.filter(Number.isFinite).length <= 2);
        const genotype = search.method.derive();
        if (method !== "p-darts") isInS1("normal", genotype.normal);
        if (!("fixedReduction" in options)) isInS1("reduce", genotype.reduce);
        if (kernels === "auto") {
          using other = begin(kernels);
          scope(() => other.restore(search.snapshot()));
          assert.deepEqual(fingerprint(other), fingerprint(search));
        }
        return found;
      });
      assertClose(losses[0]!, losses[1]!, 2e-3, "losses");
    }),
  );
}

test("random cells of s1 are cells of s1, of as many edges as are kept and there", () => {
  const { primitives } = S1;
  const candidates = spaceCandidates({ name: "s1", nodes: 4, primitives });
  for (let seed = 0; seed < 60; seed++) {
    const kept = ([2, 5, "every"] as const)[seed % 3]!;
    const genotype = randomGenotype(createGenerator(seed), {
      nodes: 4,
      primitives,
      candidates,
      kept,
      shared: true,
    });
    assert.deepEqual(checkGenotype(genotype), genotype);
    for (const cell of ["normal", "reduce"] as const) {
      isInS1(cell, genotype[cell]);
      const counts = edgesByNode(genotype[cell]).map((edges) => edges.length);
      assert.deepEqual(counts, kept === "every" ? [2, 3, 4, 5] : kept === 2 ? [2, 2, 2, 2] : [4, 5, 5, 5]);
    }
  }
});

test("the largest cells of s1 are cells of s1", () => {
  for (const search of [
    { method: "darts", options: {} },
    { method: "i-darts", options: { pairs: 5 } },
    { method: "snas", options: { keep: "every-edge" } },
  ]) {
    const space = toyConfig({ "space.name": "s1", "space.nodes": 4 }).space;
    const genotype = largestGenotype({ space, search: { ...toyConfig().search, ...search } });
    assert.deepEqual(checkGenotype(genotype), genotype);
    for (const cell of ["normal", "reduce"] as const) isInS1(cell, genotype[cell]);
  }
});

test(
  "noise is new in each pass, of mean 0 and deviation 1, and halves odd sizes as others do",
  leakFree(() => {
    const x = randn([8, 6, 7, 9]);
    const noise = operationBuilder("noise")(6, 2, false);
    const [a, b] = [noise.forward(x), noise.forward(x)];
    assert.deepEqual(a.shape, [8, 6, 4, 5]);
    assert.notDeepEqual(a.toNumbers(), b.toNumbers());
    const values = a.toNumbers();
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
    assert.ok(Math.abs(mean) < 0.15 && Math.abs(variance - 1) < 0.2, `${mean}, ${variance}`);
  }),
);
