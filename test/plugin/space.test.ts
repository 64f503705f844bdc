// Spaces of one's own: what a definition may say, what a search makes of edges that are not there, and each mistake.
import assert from "node:assert/strict";
import { test } from "node:test";
import { countNetwork, countSupernet } from "../../src/genotype/counts.ts";
import { type CellEdges, edgesByNode } from "../../src/genotype/genotype.ts";
import { checkGenotype } from "../../src/genotype/parse.ts";
import { randomGenotype } from "../../src/genotype/random.ts";
import { BatchNorm2d, Conv2d } from "../../src/nn/layers.ts";
import { type Module, Sequential } from "../../src/nn/module.ts";
import { defineOperation, defineSpace, type SpaceDefinition } from "../../src/plugin/define.ts";
import { loadPlugins } from "../../src/plugin/load.ts";
import { register } from "../../src/plugin/register.ts";
import { createGenerator } from "../../src/random/generator.ts";
import { largestGenotype } from "../../src/run/plan.ts";
import { checkConfig, checkData } from "../../src/run/preflight.ts";
import { createResourcePrice } from "../../src/search/resource-price.ts";
import { Search } from "../../src/search/search.ts";
import { operationBuilder } from "../../src/space/operations.ts";
import { isPrimitive } from "../../src/space/primitives.ts";
import { declaredSpaces, findSpace, isSpace, spaceCandidates } from "../../src/space/spaces.ts";
import { scope } from "../../src/tensor/scope.ts";
import { full } from "../../src/tensor/tensor.ts";
import { createNetwork } from "../../src/train/training.ts";
import { assertClose } from "../support/assert-close.ts";
import { counted, leakFree } from "../support/leak-free.ts";
import { mistake } from "../support/mistake.ts";
import { fingerprint, toyConfig, toyDataset } from "../support/toy-problem.ts";

await loadPlugins(["examples/own-space.ts"]);

/** Cells of DARTS in which a node cannot read the other cell than the one of its parity, nor every node. */
const SPARSE: SpaceDefinition = {
  name: "sparse",
  paper: "this test",
  primitives: ["none", "skip_connect", "sep_conv_3x3", "max_pool_3x3", "own_noise"],
  nodes: 3,
  edges: ({ cell, node, source }) => {
    if (source === 1 - (node % 2) || (cell === "reduce" && source === 3)) return [];
    return source === 2 ? ["skip_connect", "max_pool_3x3"] : ["none", "skip_connect", "sep_conv_3x3"];
  },
};
register(
  defineSpace(SPARSE),
  defineOperation({ name: "own_noise", create: (_, stride) => operationBuilder("noise")(1, stride, false) }),
);

const METHODS: readonly (readonly [method: string, settings?: Readonly<Record<string, unknown>>])[] = [
  ["darts"],
  ["darts", { "search.options.softmax": "node" }],
  ["i-darts"],
  ["pc-darts", { "search.options.partialChannels": 2 }],
  ["gdas"],
  ["snas", { "search.options.keep": "every-edge", "search.options.resourceWeight": 0.01 }],
  ["snas", { "search.options.keep": "two-edges" }],
  ["sdarts-rs"],
  ["sdarts-adv"],
  ["r-darts"],
  ["darts", { "budget.multiplyAdds": 20_000 }],
  ["one-level", { "search.order": "joint" }],
  ["random", { "search.options.draws": 1 }],
];

function isIn(space: string, cell: "normal" | "reduce", edges: CellEdges): void {
  for (const [node, own] of edgesByNode(edges).entries())
    for (const [op, source] of own) {
      const there = findSpace(space).edges!({ cell, node, source });
      assert.ok(there.includes(op), `${op} from ${source} to node ${node} of the ${cell} cell`);
    }
}

for (const space of ["ladder", "sparse"]) {
  const config = (more: Readonly<Record<string, unknown>>) =>
    toyConfig({
      "space.name": space,
      "space.nodes": 3,
      "space.stemMultiplier": 2,
      "search.channels": 4,
      "search.cells": 4,
      "train.channels": 4,
      "train.cells": 4,
      ...more,
    });
  for (const [method, more = {}] of METHODS) {
    const own = { "search.method": method, "search.order": method === "snas" ? "joint" : "first", ...more };
    test(
      `${space} by ${[method, ...Object.values(more)].join(", ")}: cells of edges that are there; fused as composite; resumable`,
      counted(() => {
        checkConfig(config(own), { searches: true });
        const losses = ["auto", "composite"].map((kernels) => {
          using search = new Search(config({ ...own, kernels }), toyDataset());
          const found = Array.from({ length: 5 }, () => {
            const { trainLoss } = search.runStep();
            if (search.step === search.stepsPerEpoch) search.endEpoch(search.validate());
            return trainLoss;
          });
          for (const row of search.method.alphaRows().normal) assert.ok(!row.some(Number.isNaN));
          const genotype = search.method.derive();
          assert.deepEqual(checkGenotype(genotype), genotype);
          for (const cell of ["normal", "reduce"] as const) isIn(space, cell, genotype[cell]);
          using other = new Search(config({ ...own, kernels }), toyDataset());
          scope(() => other.restore(search.snapshot()));
          assert.deepEqual(fingerprint(other), fingerprint(search));
          return found;
        });
        assertClose(losses[0]!, losses[1]!, 2e-3, "losses");
      }),
    );
  }

  test(
    `${space}: random and largest cells are cells of it, and as large as counted`,
    leakFree(() => {
      const declared = findSpace(space);
      const { nodes = 0, primitives } = declared;
      const candidates = spaceCandidates({ name: space, nodes, primitives });
      const cells = Array.from({ length: 20 }, (_, seed) =>
        randomGenotype(createGenerator(seed), { nodes, primitives, candidates, space: declared }),
      );
      cells.push(largestGenotype(config({})));
      const weightsOf = (net: Module) => net.parameters().reduce((sum, { numel }) => sum + numel, 0);
      for (const genotype of cells) {
        assert.deepEqual(checkGenotype(genotype), genotype);
        for (const cell of ["normal", "reduce"] as const) isIn(space, cell, genotype[cell]);
        using net = createNetwork(genotype, config({}), toyDataset());
        const shape = { channels: 4, cells: 4, classes: 3, imageSize: 8 };
        assert.equal(weightsOf(net), countNetwork(genotype, shape).paramsWithAux);
      }
    }),
  );

  test(`${space} is refused by methods that were made for other cells`, () => {
    for (const method of ["p-darts", "sgas"])
      assert.match(
        mistake(() => checkConfig(config({ "search.method": method }), { searches: true })),
        new RegExp(`^search.method is ${method}, and space.name is ${space}: it was made for cells`),
      );
  });
}

/** Cells of DARTS behind a stem of one's own, which halves twice, and behind the two of ImageNet. */
const STEMMED = { paper: "this test", primitives: ["none", "skip_connect", "sep_conv_3x3"] } as const;
register(
  defineSpace({
    ...STEMMED,
    name: "patches",
    skeleton: {
      stemMultiplier: 2,
      stem: {
        halvings: 2,
        create: (inChannels, outChannels) =>
          new Sequential(new Conv2d(inChannels, outChannels, 4, { stride: 4 }), new BatchNorm2d(outChannels)),
      },
    },
  }),
  defineSpace({ ...STEMMED, name: "imagenet-stem", skeleton: { stem: "imagenet" } }),
);

for (const [space, halvings] of [
  ["patches", 2],
  ["imagenet-stem", 3],
] as const) {
  const stemmed = (more: Readonly<Record<string, unknown>> = {}) =>
    toyConfig({
      "space.name": space,
      "space.stemMultiplier": findSpace(space).skeleton.stemMultiplier,
      "search.channels": 4,
      "train.channels": 4,
      ...more,
    });
  const weightsOf = (net: Module) => net.parameters().reduce((sum, { numel }) => sum + numel, 0);
  const images = toyDataset({ size: 64 });

  test(
    `${space}: supernet and network have the space's stem, of the counted size; fused as composite`,
    counted(() => {
      const losses = ["auto", "composite"].map((kernels) => {
        using search = new Search(stemmed({ kernels }), images);
        const { primitives, nodes, stemMultiplier } = stemmed().space;
        const shape = { channels: 4, cells: 3, nodes, primitives, stemMultiplier, classes: 3, imageSize: 64 };
        assert.equal(weightsOf(search.supernet), countSupernet({ ...shape, space }).params);
        return [search.runStep().trainLoss, search.runStep().trainLoss];
      });
      assertClose(losses[0]!, losses[1]!, 1e-4, "losses");
      const cell = largestGenotype(stemmed());
      const size = 64 / 2 ** halvings;
      const body = (stem: "cifar" | "imagenet") => {
        using net = createNetwork(cell, stemmed({ "train.stem": stem }), images);
        const shape = { channels: 4, cells: 3, classes: 3, imageSize: 64, stem };
        const { paramsWithAux, cells } = countNetwork(cell, shape);
        assert.equal(weightsOf(net), paramsWithAux);
        return { params: paramsWithAux, first: cells[0]!.size };
      };
      assert.deepEqual(body("cifar").first, [size, size]);
      assert.deepEqual(body("imagenet").first, [8, 8]);
      // Cells of DARTS, but not its network: they carry the name of their space.
      assert.equal(cell.space, space);
    }),
  );

  test(`${space}: the auxiliary head is refused where the stem leaves it too little to see`, () => {
    const intent = { searches: true, trains: "found" } as const;
    const seen = 2 ** (5 - halvings - 2); // of 32, after the stem and two reductions
    const check = () => checkData(stemmed({ "train.auxiliary": true }), toyDataset({ size: 32 }), intent);
    if (seen >= 2) assert.doesNotThrow(check);
    else assert.match(mistake(check), /too small for the auxiliary head: it sees 1×1/);
  });
}

test(
  "the price of resources is that of the sizes behind the stem: a quarter of the side costs a sixteenth of the multiply-adds",
  leakFree(() => {
    const price = (space: string) => {
      const of = createResourcePrice(
        {
          ...toyConfig().search,
          space: findSpace(space),
          nodes: 2,
          primitives: STEMMED.primitives,
          device: "cpu",
          imageSize: [32, 32],
        },
        { kind: "macs", scale: "linear", reduceWeight: 0 },
      );
      return of(full([5, 3], 1)).item();
    };
    assert.equal(price("patches"), price("darts") / 16);
  }),
);

test("the spaces of this library stand the checks of a user's, whose defaults are DARTS'", () => {
  assert.deepEqual(
    declaredSpaces().map(({ name }) => name),
    ["darts", "s1", "s2", "s3", "s4", "nas-bench-201", "ladder", "sparse", "patches", "imagenet-stem"],
  );
  const { primitives, skeleton } = findSpace("darts");
  register(defineSpace({ name: "copy", paper: "this test", primitives: [...primitives] }));
  assert.deepEqual(findSpace("copy").skeleton, skeleton);
  const shape = { channels: 16, cells: 8, primitives };
  assert.deepEqual(countSupernet({ ...shape, space: "copy" }), countSupernet(shape));
});

test("what is wrong with a definition is said where it is registered, and nothing of it is known then", () => {
  const base: SpaceDefinition = { ...SPARSE, name: "wrong", primitives: ["none", "skip_connect"] };
  const { edges: _, ...whole } = base;
  const refuse = (change: object, message: RegExp) => {
    const operation = defineOperation({ name: "unused", create: operationBuilder("skip_connect") });
    const definition = { ...whole, ...change } as SpaceDefinition;
    assert.match(
      mistake(() => register(operation, defineSpace(definition))),
      message,
    );
    assert.deepEqual([isSpace("wrong"), isPrimitive("unused")], [false, false]);
  };
  const skeleton = { inputs: 1, preprocess: false, output: "last", reduction: "residual", stemMultiplier: 1 };
  refuse({ name: "ladder" }, /There is a search space named ladder already/);
  refuse({ name: "residual" }, /There is a search space named residual already/);
  refuse({ name: "two words" }, /The search space has the name "two words"; expected a letter/);
  refuse({ primitives: "none" }, /defineSpace: primitives is string, expected a list/);
  refuse({ primitives: ["none"] }, /The space wrong: primitives is none, expected a list of at least two/);
  refuse({ primitives: ["none", "conv_9x9"] }, /there is no operation conv_9x9\. Name a known one/);
  refuse({ primitives: ["none", "none"] }, /expected each operation only once/);
  refuse({ nodes: 0 }, /nodes is 0, expected a whole number, at least 1/);
  refuse({ node: 3 }, /there is no field node\. It has: name, /);
  refuse({ keeps: "all" }, /keeps is all, expected method or every-edge/);
  refuse({ skeleton: { head: "norm" } }, /skeleton\.head is norm, expected pool or norm-relu-pool/);
  refuse({ skeleton: { inputs: 3 } }, /skeleton\.inputs is 3, expected 1 or 2/);
  refuse(
    { skeleton: { reduction: "pool" } },
    /skeleton\.reduction is pool, expected cell, residual, or a block/,
  );
  refuse(
    { skeleton: { reduction: {} } },
    /defineSpace, skeleton\.reduction: create is undefined, expected a function/,
  );
  refuse({ skeleton: { stems: 2 } }, /there is no field skeleton\.stems/);
  refuse({ skeleton: { stem: "vit" } }, /skeleton\.stem is vit, expected cifar, imagenet, or a stem with a/);
  refuse({ skeleton: { stem: {} } }, /defineSpace, skeleton\.stem: create is undefined, expected a function/);
  const create = operationBuilder("skip_connect");
  refuse(
    { skeleton: { stem: { create, halvings: 0.5 } } },
    /skeleton\.stem: halvings is 0\.5, expected a whole/,
  );
  refuse(
    { skeleton: { stem: "imagenet", stemMultiplier: 2 } },
    /stemMultiplier is 2, but the stem of ImageNet has the first cell's channels/,
  );
  refuse({ evaluation: { channels: 0, cells: 3 } }, /evaluation\.channels is 0, expected a whole number/);
  refuse({ evaluation: { channels: 4, cells: 3, cell: 3 } }, /there is no field evaluation\.cell\./);
  refuse({ evaluation: { channels: 4 } }, /evaluation\.cells is undefined, expected a whole number/);
  for (const change of [{ inputs: 2 }, { output: "all" }, { reduction: "cell" }, { stemMultiplier: 3 }])
    refuse(
      { skeleton: { ...skeleton, ...change } },
      /skeleton\.preprocess is false, but its cells do not read/,
    );
  refuse({ edges: () => [], nodes: undefined }, /edges is given, but nodes is not/);
  refuse(
    { edges: () => ["sep_conv_3x3"] },
    /edges gives sep_conv_3x3 on normal 0 → node 0, expected some of: none/,
  );
  refuse(
    { edges: ({ node }: { node: number }) => (node === 1 ? ["none"] : ["skip_connect"]) },
    /node 1 of the normal cell has no edge with an operation/,
  );
});

test(
  "a block that gives another shape is named with what it gave and what it should",
  leakFree(() => {
    register(
      defineSpace({
        ...findSpace("ladder"),
        name: "flat",
        skeleton: {
          ...findSpace("ladder").skeleton,
          stem: "cifar",
          reduction: { create: (a, b) => new Conv2d(a, b, 1) },
        },
      }),
    );
    const flat = toyConfig({ "space.name": "flat", "space.nodes": 3, "search.cells": 4 });
    using search = new Search(flat, toyDataset());
    assert.match(
      mistake(() => search.runStep()),
      /The reduction block of the space flat, stride 2, on \[4, \d+, 8, 8\] gives \[.*8, 8\], expected \[.*4, 4\]/,
    );
  }),
);
