// Every method in every order in every space: it searches there, or says before any work why it does not.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Edge, edgesOfCell } from "../../src/genotype/genotype.ts";
import { checkGenotype } from "../../src/genotype/parse.ts";
import { declaredMethods, derivedCells } from "../../src/methods/table.ts";
import { checkConfig } from "../../src/run/preflight.ts";
import { Search } from "../../src/search/search.ts";
import { declaredSpaces, findSpace } from "../../src/space/spaces.ts";
import { counted } from "../support/leak-free.ts";
import { mistake } from "../support/mistake.ts";
import { toyConfig, toyDataset } from "../support/toy-problem.ts";

/** What a method needs beside the settings of the toy, everywhere or in one space. */
const NEEDS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  "pc-darts": { "search.options.partialChannels": 2 },
  "p-darts": { "search.options.dropOperations": [0, 1, 0] },
  sgas: { "search.options.decideFromEpoch": 0, "search.options.decideEvery": 1, "search.epochs": 9 },
  random: { "search.options.draws": 3 },
  "snas in nas-bench-201": { "search.options.keep": "every-edge" },
};
/** Where a method has nothing to do. */
const REFUSED: Readonly<Record<string, readonly string[]>> = {
  "nas-bench-201": ["i-darts", "p-darts", "sgas"],
};
const images = toyDataset();

for (const { name: space } of declaredSpaces()) {
  const { nodes = 2, skeleton, keeps } = findSpace(space);
  for (const { name: method, orders } of declaredMethods()) {
    const settings = {
      "space.name": space,
      "space.nodes": nodes,
      "space.stemMultiplier": skeleton.stemMultiplier,
      "search.method": method,
      "search.channels": 4,
      "train.channels": 4,
      ...NEEDS[method],
      ...NEEDS[`${method} in ${space}`],
    };
    if (REFUSED[space]?.includes(method)) {
      test(`${method} says why it does not search ${space}`, () => {
        for (const order of orders)
          assert.match(
            mistake(() => checkConfig(toyConfig({ ...settings, "search.order": order }), { searches: true })),
            new RegExp(`^search.method is ${method}, and space.name is ${space}: it decides which`),
          );
      });
      continue;
    }
    test(
      `${method} searches ${space} in the orders ${orders.join(", ")}`,
      counted(() => {
        for (const order of orders) {
          const config = toyConfig({ ...settings, "search.order": order });
          checkConfig(config, { searches: true });
          using search = new Search(config, images);
          const before = search.method.alphaRows();
          for (let i = 0; i < 3; i++) search.runStep();
          search.endEpoch(search.validate());
          assert.equal(search.runStep().spoiled, undefined);
          if (method !== "random") assert.notDeepEqual(search.method.alphaRows(), before, order);
          const genotype = search.method.derive();
          assert.deepEqual(checkGenotype(genotype), genotype);
          const edges: readonly Edge[] = [genotype.normal, genotype.reduce].flatMap(edgesOfCell);
          if (keeps === "method" && !derivedCells(config).none)
            assert.ok(!edges.some(([op]) => op === "none"), order);
        }
      }),
    );
  }
}
