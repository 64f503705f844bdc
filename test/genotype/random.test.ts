import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { UserError } from "../../src/errors.ts";
import { edgesByNode, edgesOfCell } from "../../src/genotype/genotype.ts";
import { checkGenotype } from "../../src/genotype/parse.ts";
import { countCells, randomGenotype } from "../../src/genotype/random.ts";
import { createGenerator } from "../../src/random/generator.ts";
import { DARTS_PRIMITIVES } from "../../src/space/primitives.ts";
import { cell } from "./shorthand.ts";

const SPACE = { nodes: 4, primitives: DARTS_PRIMITIVES };

test("random genotypes are valid, without none and with two different predecessors at each node", () => {
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 1, max: 7 }), (seed, nodes) => {
      const genotype = randomGenotype(createGenerator(seed), { ...SPACE, nodes });
      assert.deepEqual(checkGenotype(genotype), genotype);
      for (const edges of [genotype.normal, genotype.reduce]) {
        assert.equal(edges.length, 2 * nodes);
        assert.ok(edgesOfCell(edges).every(([op]) => op !== "none"));
        for (const [first, second] of edgesByNode(edges)) assert.ok(first![1] < second![1]);
      }
    }),
  );
});

test("random genotypes keep as many edges as they are told to, no pair twice, predecessors as evenly as can be", () => {
  const primitives = ["none", "skip_connect", "sep_conv_3x3", "max_pool_3x3"] as const;
  const kept = fc.oneof(fc.constant("every" as const), fc.integer({ min: 1, max: 16 }));
  fc.assert(
    fc.property(fc.nat(), kept, fc.boolean(), (seed, count, shared) => {
      const how = { nodes: 4, primitives, kept: count, shared };
      const genotype = randomGenotype(createGenerator(seed), how);
      assert.deepEqual(checkGenotype(genotype), genotype);
      for (const [node, edges] of edgesByNode(genotype.normal).entries()) {
        const states = node + 2;
        assert.equal(
          edges.length,
          count === "every" ? states : Math.min(count, shared ? 3 * states : states),
        );
        assert.equal(new Set(edges.map(String)).size, edges.length);
        const times = Array.from({ length: states }, (_, from) => edges.filter(([, p]) => p === from).length);
        assert.ok(Math.max(...times) - Math.min(...times) <= 1);
        assert.ok(edges.every(([op]) => op !== "none"));
      }
    }),
  );
});

test("a seed draws the same two edges a node as ever", () => {
  // What runs that are finished drew as their random cells.
  const drawn = "sk,0 mp,1 | d5,1 ap,2 | sk,0 mp,3 | ap,3 d5,4";
  assert.deepEqual(randomGenotype(createGenerator(2), SPACE).normal, cell(drawn));
});

test("the same seed draws the same genotype and another seed another one", () => {
  const draw = (seed: number) => randomGenotype(createGenerator(seed), SPACE);
  assert.deepEqual(draw(2), draw(2));
  assert.notDeepEqual(draw(2), draw(3));
});

test("predecessors and operations are drawn uniformly", () => {
  const generator = createGenerator(1);
  const draws = 3000;
  const pairs = new Map<string, number>();
  const ops = new Map<string, number>();
  for (let i = 0; i < draws; i++) {
    const [first, second] = edgesByNode(randomGenotype(generator, SPACE).normal)[2]!;
    const pair = `${first![1]},${second![1]}`;
    pairs.set(pair, (pairs.get(pair) ?? 0) + 1);
    ops.set(first![0], (ops.get(first![0]) ?? 0) + 1);
  }
  // The third node reads one of 6 pairs of its 4 states. Five standard deviations of a binomial.
  for (const [counts, kinds] of [
    [pairs, 6],
    [ops, 7],
  ] as const) {
    assert.equal(counts.size, kinds);
    const deviation = Math.sqrt(draws * (1 / kinds) * (1 - 1 / kinds));
    for (const [kind, count] of counts) {
      assert.ok(Math.abs(count - draws / kinds) < 5 * deviation, `${kind} was drawn ${count} times`);
    }
  }
});

test("nothing but none cannot be drawn from", () => {
  assert.throws(() => randomGenotype(createGenerator(1), { nodes: 4, primitives: ["none"] }), UserError);
});

test("the space of DARTS holds the published number of cells", () => {
  assert.equal(countCells(4, 7), 1_037_664_180n);
});
