import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { searchSplits, subset, testSplit, trainingSplit } from "../../src/data/splits.ts";
import { createGenerator } from "../../src/random/generator.ts";
import { randomSet } from "./fixtures.ts";

const small = (count: number) => randomSet(1, { count, channels: 1, side: 2 });

test("the search's splits are disjoint, cover the training images and have the asked sizes", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 2, max: 200 }),
      fc.double({ min: 0.01, max: 0.99, noNaN: true }),
      fc.nat(),
      (count, weightsShare, seed) => {
        fc.pre(Math.floor(weightsShare * count) > 0);
        const { weights, architecture } = searchSplits({ train: small(count) }, { seed, weightsShare });
        assert.equal(weights.indices.length, Math.floor(weightsShare * count));
        const all = [...weights.indices, ...architecture.indices].sort((a, b) => a - b);
        assert.deepEqual(
          all,
          Array.from({ length: count }, (_, i) => i),
        );
      },
    ),
  );
});

test("the splits depend on the seed alone", () => {
  const train = small(100);
  const indices = (seed: number) => [...searchSplits({ train }, { seed }).weights.indices];
  assert.deepEqual(indices(1), indices(1));
  assert.notDeepEqual(indices(1), indices(2));
  assert.notDeepEqual(
    indices(1),
    [...indices(1)].sort((a, b) => a - b),
  );
});

test("a share that leaves one side empty is an error", () => {
  for (const weightsShare of [0, 1, 0.001]) {
    assert.throws(() => searchSplits({ train: small(10) }, { seed: 1, weightsShare }), {
      name: "UserError",
      message: /data\.weightsShare/,
    });
  }
});

test("a one-level search gets all training images on both sides, as does training from scratch", () => {
  const train = small(10);
  const all = Array.from({ length: 10 }, (_, i) => i);
  const { weights, architecture } = searchSplits({ train }, { seed: 1, oneLevel: true });
  for (const view of [weights, architecture, trainingSplit({ train })])
    assert.deepEqual([...view.indices], all);
});

test("the search's views hold no way to the test images, and opening those is on record", () => {
  const dataset = { train: small(10), test: small(4) };
  const splits = searchSplits(dataset, { seed: 1 });
  for (const view of Object.values(splits)) assert.equal(view.set, dataset.train);
  const sealed = testSplit(dataset);
  assert.equal(sealed.count, 4);
  assert.deepEqual(sealed.openedBy, []);
  assert.equal(Object.values(sealed).includes(dataset.test), false);
  assert.equal(sealed.open("final report").set, dataset.test);
  assert.deepEqual(sealed.openedBy, ["final report"]);
});

test("a subset has the pixels and labels of distinct images, in their old order", () => {
  const set = small(30);
  const before = [...set.labels];
  const numbered = {
    ...set,
    images: Uint8Array.from({ length: 120 }, (_, i) => i >> 2),
    labels: Uint8Array.from({ length: 30 }, (_, i) => i),
  };
  const drawn = subset(numbered, 12, createGenerator(3, "x"));
  assert.equal(drawn.count, 12);
  assert.equal(new Set(drawn.labels).size, 12);
  assert.deepEqual(
    [...drawn.labels],
    [...drawn.labels].sort((a, b) => a - b),
  );
  for (let n = 0; n < 12; n++)
    assert.ok(drawn.images.subarray(4 * n, 4 * n + 4).every((value) => value === drawn.labels[n]));
  assert.deepEqual([...set.labels], before);
  assert.throws(() => subset(set, 31, createGenerator(3, "x")), { name: "UserError" });
});
