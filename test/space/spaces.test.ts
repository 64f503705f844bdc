// RobustDARTS' spaces: what stands on each edge, in the supernet, in the alphas and in the cells derived and drawn.
import assert from "node:assert/strict";
import { test } from "node:test";
import { resolveConfig } from "../../src/config/load.ts";
import { randomGenotype } from "../../src/genotype/random.ts";
import { createGenerator } from "../../src/random/generator.ts";
import { Search } from "../../src/search/search.ts";
import { operationBuilder } from "../../src/space/operations.ts";
import { SPACES, spaceCandidates } from "../../src/space/spaces.ts";
import { scope } from "../../src/tensor/scope.ts";
import { randn } from "../../src/tensor/tensor.ts";
import { assertClose } from "../support/assert-close.ts";
import { counted, leakFree } from "../support/leak-free.ts";
import { fingerprint, toyConfig, toyDataset } from "../support/toy-problem.ts";

const FIRST_EDGES = [0, 2, 5, 9];
const S1 = SPACES.s1.edges!;

function isInS1(cell: "normal" | "reduce", edges: readonly (readonly [string, number])[]): void {
  for (const [i, [op, from]] of edges.entries()) {
    const edge = FIRST_EDGES[Math.floor(i / 2)]! + from;
    assert.ok((S1[cell][edge] as string[]).includes(op), `${op} on edge ${edge} of the ${cell} cell`);
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
  refuse({ "space.name": "s1", "space.nodes": 2 }, /^--space-nodes 2: .* cell of 4 nodes/);
});

const METHODS = [
  "darts",
  "pc-darts",
  "gdas",
  "snas",
  "sgas",
  "sdarts-rs",
  "sdarts-adv",
  "p-darts",
  "r-darts",
];
for (const method of METHODS) {
  test(
    `s1 by ${method}: two operations an edge in supernet, alphas and cell; fused and composite alike; resumable`,
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
            ...(method === "pc-darts" && { "search.options.partialChannels": 2 }),
            ...(method === "p-darts" && {
              "search.options.dropOperations": [0, 1, 0],
              "search.options.skipDropout": [0, 0, 0],
            }),
            ...(method === "sgas" && { "search.options.decideFromEpoch": 0 }),
          }),
          toyDataset(),
        );
      const losses = ["auto", "composite"].map((kernels) => {
        using search = begin(kernels);
        for (const cell of search.supernet.cells)
          for (const edge of cell._ops)
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
        isInS1("reduce", genotype.reduce);
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

test("random cells of s1 are cells of s1", () => {
  const space = { name: "s1", primitives: SPACES.s1.primitives } as const;
  for (let seed = 0; seed < 20; seed++) {
    const { normal, reduce } = randomGenotype(createGenerator(seed), {
      nodes: 4,
      primitives: space.primitives,
      candidates: spaceCandidates(space.name, space.primitives),
    });
    isInS1("normal", normal);
    isInS1("reduce", reduce);
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
