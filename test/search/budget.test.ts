// The budget of a search: its table against the counts of whole networks, its expectation and penalty against closed
// forms and differences, what it does to cells, and what is said of it.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { resolveConfig } from "../../src/config/load.ts";
import type { Config } from "../../src/config/schema.ts";
import { edgeOffset, edgesByNode, type Genotype } from "../../src/genotype/genotype.ts";
import { randomGenotype } from "../../src/genotype/random.ts";
import { declaredMethods, derivedCells } from "../../src/methods/table.ts";
import { loadPlugins } from "../../src/plugin/load.ts";
import { createGenerator } from "../../src/random/generator.ts";
import { readEvents } from "../../src/run/events.ts";
import { searchCommand } from "../../src/run/jobs.ts";
import { checkData } from "../../src/run/preflight.ts";
import { drawRandomCell } from "../../src/run/random-cell.ts";
import { probabilities } from "../../src/search/alphas.ts";
import { checkBudget, checkDerived, costTable, expectation, leastCost } from "../../src/search/budget.ts";
import { costOf } from "../../src/search/costs.ts";
import type { Strengths } from "../../src/search/method.ts";
import { edgeWeights } from "../../src/search/pc-darts.ts";
import { Search } from "../../src/search/search.ts";
import { type CellKind, kindsOf } from "../../src/space/declare-space.ts";
import { findSpace, spaceCandidates } from "../../src/space/spaces.ts";
import { grad } from "../../src/tensor/autograd.ts";
import { full, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { assertClose } from "../support/assert-close.ts";
import { RUN, writeTinyProblem } from "../support/killing.ts";
import { leakFree } from "../support/leak-free.ts";
import { mistake } from "../support/mistake.ts";
import { toyConfig, toyDataset } from "../support/toy-problem.ts";

await loadPlugins(["examples/own-space.ts"]);
const dataset = toyDataset();
const KINDS = ["multiplyAdds", "parameters"] as const;
const FORMS = [
  { "search.method": "darts" },
  { "search.method": "i-darts", "search.options.pairs": 3 },
  { "search.method": "gdas", "search.options.fixedReduction": true, "train.channels": 4 },
  { "search.method": "snas", "search.options.keep": "every-edge" },
  { "space.name": "s1", "space.nodes": 4 },
  { "space.name": "nas-bench-201", "space.nodes": 3 },
  { "space.name": "ladder", "space.nodes": 3, "space.stemMultiplier": 2 },
  { "space.name": "ladder", "space.nodes": 3, "space.stemMultiplier": 2, "search.method": "gdas" },
] as const;

const figureOf = (genotype: Genotype, config: Config, kind: (typeof KINDS)[number]) =>
  costOf(genotype, { config, dataset })[kind === "parameters" ? "params" : "macs"];

function drawn(config: Config, seed: number): Genotype {
  const { nodes, primitives, name } = config.space;
  const { kept, shared, fixed } = derivedCells(config);
  const candidates = spaceCandidates(config.space);
  const space = findSpace(name);
  return {
    ...randomGenotype(createGenerator(seed, "cells"), { space, nodes, primitives, kept, shared, candidates }),
    ...fixed,
  };
}

/** Strengths that leave nothing open: 1 for each pair of a genotype, of the cells that are searched. */
function strengthsOf(genotype: Genotype, config: Config): Strengths {
  const { nodes, primitives, name } = config.space;
  const space = findSpace(name);
  const { inputs } = space.skeleton;
  const cell = (kind: CellKind) => {
    const rows = Array.from({ length: edgeOffset(nodes, inputs) }, () => primitives.map(() => 0));
    for (const [node, edges] of edgesByNode(genotype[kind]).entries())
      for (const [op, from] of edges) rows[edgeOffset(node, inputs) + from]![primitives.indexOf(op)] = 1;
    return { operations: tensor(rows.flat(), [rows.length, primitives.length], { dtype: "float64" }) };
  };
  const both = kindsOf(space).includes("reduce") && !derivedCells(config).fixed;
  return { normal: cell("normal"), ...(both && { reduce: cell("reduce") }) };
}

for (const form of FORMS) {
  test(
    `${JSON.stringify(form)}: what is decided is expected at what its network costs, and none costs less than the least`,
    leakFree(() => {
      const config = toyConfig({ "train.cells": 5, ...form });
      for (const kind of KINDS) {
        const of = expectation(config, costTable(config, dataset, kind));
        const least = leastCost(config, dataset, kind);
        const figures: number[] = [];
        for (let seed = 0; seed < 300; seed++) {
          const genotype = drawn(config, seed);
          figures.push(figureOf(genotype, config, kind));
          if (seed >= 8) continue;
          const expected = of(strengthsOf(genotype, config)).item();
          assertClose(expected, figures.at(-1)!, 1e-12, `${kind} of cell ${seed}`);
        }
        assert.ok(Math.min(...figures) >= least, `${Math.min(...figures)} is less than ${least}`);
      }
    }),
  );
}

test(
  "the least is that of a cell that there is: max-pools of DARTS' space, skip connections of S2's",
  leakFree(() => {
    const cheapest = { darts: "max_pool_3x3", s2: "skip_connect" } as const;
    for (const [name, op] of Object.entries(cheapest)) {
      const config = toyConfig({ "space.name": name, "train.cells": 5 });
      const edges = [0, 1, 0, 1].map((from) => [op, from] as const);
      // In the second node of S2's reduction cells an input and the first node are cheaper than two inputs.
      const reduce = name === "s2" ? [...edges.slice(0, 3), [op, 2] as const] : edges;
      const cell = { normal: edges, normalConcat: [2, 3], reduce, reduceConcat: [2, 3] };
      for (const kind of KINDS) assert.equal(leastCost(config, dataset, kind), figureOf(cell, config, kind));
    }
  }),
);

test(
  "level alphas expect the mean of all operations but none, and edges that are certain leave the rest to the others",
  leakFree(() => {
    const config = toyConfig();
    const table = costTable(config, dataset, "multiplyAdds");
    const of = expectation(config, table);
    const level = { operations: full([5, 8], 1 / 8, { dtype: "float64" }) };
    const mean = (row: readonly number[]) => row.slice(1).reduce((a, b) => a + b, 0) / 7;
    const nodes = ({ normal, reduce }: typeof table.pairs) =>
      [normal, reduce].map(
        (rows) =>
          mean(rows[0]!) + mean(rows[1]!) + (2 / 3) * (mean(rows[2]!) + mean(rows[3]!) + mean(rows[4]!)),
      );
    const [normal, reduce] = nodes(table.pairs) as [number, number];
    assertClose(of({ normal: level, reduce: level }).item(), table.base + normal + reduce, 1e-12, "level");

    const rows = Array.from({ length: 5 }, (_, edge) =>
      Array.from({ length: 8 }, (_, k) => (edge === 3 ? Number(k === 4) : 1 / 8)),
    );
    const decided = { operations: tensor(rows.flat(), [5, 8], { dtype: "float64" }), certain: [3] };
    const own = table.pairs.normal;
    const first = mean(own[0]!) + mean(own[1]!);
    const second = own[3]![4]! + (mean(own[2]!) + mean(own[4]!)) / 2;
    assertClose(
      of({ normal: decided, reduce: level }).item(),
      table.base + first + second + reduce,
      1e-12,
      "decided",
    );
  }),
);

test(
  "the gradient of the expected cost is that of its differences: softmax by edge, by node, and with edge weights",
  leakFree(() => {
    const config = toyConfig();
    const of = expectation(config, costTable(config, dataset, "parameters"));
    const numbers = Array.from({ length: 45 }, (_, i) => Math.sin(1.7 * i));
    const forms: Record<string, (alphas: Tensor, betas: Tensor) => Tensor> = {
      edge: (alphas) => probabilities(alphas, "edge"),
      node: (alphas) => probabilities(alphas, "node"),
      betas: (alphas, betas) => probabilities(alphas, "edge").mul(edgeWeights(betas, 2).reshape([-1, 1])),
    };
    for (const [name, form] of Object.entries(forms)) {
      const at = (values: readonly number[]) => {
        const alphas = tensor(values.slice(0, 40), [5, 8], { dtype: "float64" }).setRequiresGrad();
        const betas = tensor(values.slice(40), [5], { dtype: "float64" }).setRequiresGrad();
        const operations = form(alphas, betas);
        return { cost: of({ normal: { operations }, reduce: { operations } }), inputs: [alphas, betas] };
      };
      const { cost, inputs } = at(numbers);
      const got = grad([cost], name === "betas" ? inputs : inputs.slice(0, 1)).flatMap((g) => g!.toNumbers());
      const h = 1e-5;
      const differences = got.map((_, i) => {
        const moved = (by: number) =>
          at(numbers.map((value, j) => (i === j ? value + by : value))).cost.item();
        return (moved(h) - moved(-h)) / (2 * h);
      });
      assert.ok(Math.max(...got.map(Math.abs)) > 1, name);
      assertClose(got, differences, 1e-6, name);
    }
  }),
);

const NEEDS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  "p-darts": { "search.epochs": 6 },
  "pc-darts": { "search.channels": 4, "search.options.partialChannels": 2 },
  sgas: { "search.epochs": 60 },
};

const BENCHMARK = { "space.name": "nas-bench-201", "space.nodes": 3 } as const;
/** What each method is tried in: its orders in DARTS' cells, and the first in NAS-Bench-201's, where it searches those. */
const PENALISED = declaredMethods().flatMap(({ name, orders, options, refusesSpace }) => {
  if (name === "random") return [];
  const own = orders.map((order) => ({ name, order, space: {} }));
  const keep = name === "snas" ? { "search.options.keep": "every-edge" } : {};
  const values = options.parse(name === "snas" ? { keep: "every-edge" } : {});
  if (refusesSpace?.(findSpace(BENCHMARK["space.name"]), values) !== undefined) return own;
  return [...own, { name, order: orders[0], space: { ...BENCHMARK, ...keep } }];
});

for (const { name, order, space } of PENALISED) {
  test(
    `${name}, ${order}${"space.name" in space ? `, ${BENCHMARK["space.name"]}` : ""}: the penalty is in the passes that move the alphas, and makes what is expected cheaper`,
    leakFree(() => {
      const expectedAfter = (strength: number) => {
        using search = new Search(
          toyConfig({
            ...NEEDS[name],
            ...space,
            "search.method": name,
            "search.order": order,
            "search.archLearningRate": 0.1,
            "budget.multiplyAdds": leastCost(
              toyConfig("space.name" in space ? BENCHMARK : {}),
              dataset,
              "multiplyAdds",
            ),
            "budget.strength": strength,
          }),
          dataset,
        );
        const { method } = search;
        const penalty = (purpose: "weights" | "architecture" | "validation") =>
          method.mixture(purpose, 0).penalty;
        assert.equal(penalty("weights"), undefined);
        assert.equal(penalty("validation"), undefined);
        assert.equal(penalty("architecture") !== undefined, strength > 0);
        const before = method.figures!(0)["expectedMultiplyAdds"]!;
        for (let i = 0; i < 4; i++) search.runStep();
        return { before, after: method.figures!(0)["expectedMultiplyAdds"]! };
      };
      const [free, held] = [expectedAfter(0), expectedAfter(1000)];
      assert.equal(held.before, free.before);
      assert.ok(held.after < 0.97 * held.before, `${held.after} of ${held.before}`);
      assert.ok(held.after < free.after);
    }),
  );
}

test(
  "the stronger the penalty, the cheaper the derived network, down to its limit and not below",
  leakFree(() => {
    const derived = [0, 0.3, 3, 30].map((strength) => {
      const config = toyConfig({
        "search.epochs": 20,
        "search.archLearningRate": 0.05,
        "search.batchSize": 8,
        "budget.parameters": 950,
        "budget.strength": strength,
      });
      using search = new Search(config, dataset);
      while (!search.finished) {
        while (search.step < search.stepsPerEpoch) search.runStep();
        search.endEpoch(undefined);
      }
      const expected = search.method.figures!(20)["expectedParameters"]!;
      return { cost: figureOf(search.method.derive(), config, "parameters"), expected };
    });
    const costs = derived.map(({ cost }) => cost);
    assert.deepEqual(
      costs,
      [...costs].sort((a, b) => b - a),
    );
    assert.ok(costs[0]! > 1.1 * costs.at(-1)!, costs.join());
    assert.ok(costs.at(-1)! <= 950, costs.join());
    // Where it is within the budget, nothing pushes it any further.
    assert.ok(derived.at(-1)!.expected > 0.95 * 950, String(derived.at(-1)!.expected));
  }),
);

test(
  "within the budget the search is that without one, to the bit",
  leakFree(() => {
    const bytes = [null, 10 ** 9].map((limit) => {
      using search = new Search(toyConfig({ "budget.multiplyAdds": limit }), dataset);
      for (let i = 0; i < 3; i++) search.runStep();
      return search.method.alphaRows();
    });
    assert.deepEqual(bytes[1], bytes[0]);
  }),
);

test("a limit that no cell keeps, and a method without probabilities, are refused before any work", () => {
  const least = leastCost(toyConfig(), dataset, "parameters");
  assert.throws(
    () => checkBudget(toyConfig({ "budget.strength": 3 }), dataset),
    /no limit that it could weigh/,
  );
  assert.doesNotThrow(() => checkBudget(toyConfig({ "budget.parameters": least }), dataset));
  assert.equal(
    mistake(() => checkBudget(toyConfig({ "budget.parameters": least - 1 }), dataset)),
    `budget.parameters is ${least - 1}, but the cheapest cells make a network of ${least} parameters (train.channels 2, ` +
      `train.cells 3). Set it to at least ${least}, or make the network smaller.`,
  );
  const random = toyConfig({
    "search.method": "random",
    "search.options.draws": 3,
    "budget.multiplyAdds": 10 ** 9,
  });
  assert.match(
    mistake(() => new Search(random, dataset)),
    /budget\.multiplyAdds is 1000000000, but random has no probabilities of what it derives/,
  );
});

test("a run whose network is over its budget says so: in its events, its health, its outcome and its report", async () => {
  const root = mkdtempSync(join(tmpdir(), "darts-budget-"));
  const home = process.cwd();
  after(() => {
    process.chdir(home);
    rmSync(root, { recursive: true });
  });
  writeTinyProblem(root);
  const lines: string[] = [];
  const reporter = {
    log: (line: string) => lines.push(line),
    progress: () => ({ update() {}, line() {}, stop() {} }),
  };
  const search = async (folder: string, settings: Readonly<Record<string, unknown>>) => {
    mkdirSync(join(root, folder));
    process.chdir(join(root, folder));
    const flags = { "space.primitives": ["skip_connect", "sep_conv_3x3"], "search.epochs": 1, ...settings };
    const config = resolveConfig({ file: join(root, "tiny.yaml"), flags });
    return searchCommand(config, { root: "runs", name: "it", preset: undefined, reporter });
  };
  await assert.rejects(search("impossible", { "budget.parameters": 1 }), {
    name: "UserError",
    message: /budget\.parameters is 1, but the cheapest cells make a network of \d+ parameters/,
  });
  const { json, text } = await search("over", { "budget.parameters": 800, "budget.strength": 0 });
  const [check] = (json["search"] as { budget: { limit: number; derived: number }[] }).budget;
  assert.ok(check!.derived > check!.limit);
  assert.match(text, /budget: [\d,]+ parameters of at most [\d,]+: \d+\.\d % too many/);
  assert.ok(
    lines.some((line) => /Look at this: search, epoch 1: the derived network is over its budget/.test(line)),
  );
  const events = readEvents(join(RUN, "events.jsonl"));
  assert.equal(events.filter((event) => event.type === "health" && event.kind === "budget").length, 1);
  const [epoch] = events.filter((event) => event.type === "search-epoch");
  assert.ok(epoch!.figures!["expectedParameters"]! > 0);

  const within = await search("within", { "budget.parameters": 10 ** 6 });
  assert.match(within.text, /budget: [\d,]+ parameters of at most 1,000,000: within the budget/);
});

const within = (config: Config) => (genotype: Genotype) =>
  checkDerived(config, costOf(genotype, { config, dataset })).every(({ derived, limit }) => derived <= limit);

test("random cells keep the budget, and are otherwise those that would be drawn", () => {
  for (const form of FORMS) {
    const free = toyConfig({ "train.cells": 5, ...form });
    const cells = Array.from({ length: 40 }, (_, i) => drawRandomCell({ config: free, dataset }, i + 1));
    assert.ok(cells.every(({ draws }) => draws === undefined));
    for (const kind of KINDS) {
      const figures = cells.map(({ genotype }) => figureOf(genotype, free, kind)).sort((a, b) => a - b);
      const config = { ...free, budget: { ...free.budget, [kind]: figures[15]! } };
      const held = cells.map((_, i) => drawRandomCell({ config, dataset }, i + 1));
      assert.ok(held.every(({ genotype }) => within(config)(genotype)));
      // One that keeps it is taken as it is; others are drawn again.
      for (const [i, { genotype, draws }] of held.entries()) {
        const keeps = within(config)(cells[i]!.genotype);
        assert.equal(draws === 1, keeps);
        assert.equal(isDeepStrictEqual(genotype, cells[i]!.genotype), keeps);
      }
    }
  }
});

test("random cells under a budget are uniform among those that keep it", () => {
  // Two nodes and two operations: 2² · 3 · 2² cells of each kind, of which a limit leaves a part.
  const free = toyConfig({ "space.primitives": ["skip_connect", "max_pool_3x3", "none"], "train.cells": 3 });
  const count = new Map<string, number>();
  const figures = Array.from({ length: 60 }, (_, i) =>
    figureOf(drawRandomCell({ config: free, dataset }, i + 1).genotype, free, "parameters"),
  ).sort((a, b) => a - b);
  const config = { ...free, budget: { ...free.budget, parameters: figures[5]! } };
  const draws = 4000;
  for (let i = 1; i <= draws; i++) {
    const { reduce } = drawRandomCell({ config, dataset }, i).genotype;
    const key = JSON.stringify(reduce);
    count.set(key, (count.get(key) ?? 0) + 1);
  }
  // Skips and pools of stride 1 cost nothing, so that the reduction cells alone decide: all that keep it come as often.
  const mean = draws / count.size;
  assert.ok(count.size > 1 && count.size < 48, `${count.size} of 48 reduction cells`);
  for (const [cell, times] of count)
    assert.ok(Math.abs(times - mean) < 5 * Math.sqrt(mean), `${cell}: ${times} of ${mean}`);
});

test("a budget that hardly a random cell keeps is refused before any work, with the nearest", () => {
  const free = toyConfig({ "train.cells": 5, "space.nodes": 4 });
  const parameters = leastCost(free, dataset, "parameters");
  const config = { ...free, budget: { ...free.budget, parameters } };
  const cell = { searches: false, trains: "found" } as const;
  const message =
    /^None of 10,000 random cells keeps the budget; the nearest has [\d,]+ parameters of at most [\d,]+: \d+\.\d % too many\. .* set train\.randomCells to 0\.$/;
  const { randomCells } = config.train;
  assert.equal(randomCells, 1);
  for (const intent of [{ searches: true, trains: "found" }, cell] as const)
    assert.match(
      mistake(() => checkData(config, dataset, intent)),
      message,
    );
  assert.doesNotThrow(() => checkData(config, dataset, { searches: true }));
  const alone = { ...config, train: { ...config.train, randomCells: 0 } };
  assert.doesNotThrow(() => checkData(alone, dataset, { searches: true, trains: "found" }));
  const less = { ...config, budget: { ...config.budget, parameters: parameters - 1 } };
  assert.match(
    mistake(() => checkData(less, dataset, cell)),
    /but the cheapest cells make a network of/,
  );
});
