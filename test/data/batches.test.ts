import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  type Batches,
  type BatchesOptions,
  type BatchesState,
  createBatches,
} from "../../src/data/batches.ts";
import type { View } from "../../src/data/splits.ts";
import { randomSet } from "./fixtures.ts";

const set = { ...randomSet(1, { count: 40, side: 6 }), labels: Uint8Array.from({ length: 40 }, (_, i) => i) };
const view: View = { set, indices: Uint32Array.from({ length: 23 }, (_, i) => 39 - i) };
const options: BatchesOptions = {
  batchSize: 5,
  augmentation: { cropPadding: 2, flip: true, cutout: 3 },
  mean: [0.5, 0.5, 0.5],
  std: [0.25, 0.25, 0.25],
  seed: 7,
  stream: "test",
};

/** A batch's content, copied: its arrays are used again. */
function copy({ images, labels, size, shape }: ReturnType<Batches["next"]>) {
  return { images: images.slice(), labels: [...labels], size, shape: [...shape] };
}

const take = (batches: Batches, count: number) => Array.from({ length: count }, () => copy(batches.next()));

test("an epoch gives every image of the view once, the last batch being smaller", () => {
  const batches = createBatches(view, options);
  const epoch = Array.from(batches.epoch(), copy);
  assert.equal(batches.batchesPerEpoch, 5);
  assert.deepEqual(
    epoch.map(({ size }) => size),
    [5, 5, 5, 5, 3],
  );
  for (const { images, labels, size, shape } of epoch) {
    assert.deepEqual(shape, [size, 3, 6, 6]);
    assert.equal(images.length, size * 108);
    assert.equal(labels.length, size);
  }
  assert.deepEqual(
    epoch.flatMap(({ labels }) => labels).sort((a, b) => a - b),
    [...view.indices].reverse(),
  );
});

test("dropLast leaves out the batch that is not full", () => {
  const batches = createBatches(view, { ...options, dropLast: true });
  assert.deepEqual(
    Array.from(batches.epoch(), ({ size }) => size),
    [5, 5, 5, 5],
  );
  assert.equal(batches.batchesPerEpoch, 4);
});

test("each cycle has a new order, and without shuffling always that of the view", () => {
  const cycle = (batches: Batches) => take(batches, 5).flatMap(({ labels }) => labels);
  const shuffled = createBatches(view, options);
  const orders = [cycle(shuffled), cycle(shuffled), cycle(shuffled)];
  assert.equal(new Set(orders.map(String)).size, 3);
  const plain = createBatches(view, { ...options, shuffle: false });
  assert.deepEqual([cycle(plain), cycle(plain)], [[...view.indices], [...view.indices]]);
});

test("an evaluation batch is the normalised pixels of its images", () => {
  const { images, labels } = createBatches(view, { ...options, augmentation: null, shuffle: false }).next();
  for (const [n, label] of labels.entries()) {
    for (let i = 0; i < 108; i++)
      assert.equal(images[n * 108 + i], Math.fround((set.images[label * 108 + i] / 255 - 0.5) / 0.25));
  }
});

test("the same seed and stream give the same bytes, another stream others", () => {
  const first = take(createBatches(view, options), 7);
  assert.deepEqual(take(createBatches(view, options), 7), first);
  assert.notDeepEqual(take(createBatches(view, { ...options, stream: "other" }), 7), first);
  assert.notDeepEqual(take(createBatches(view, { ...options, seed: 8 }), 7), first);
});

test("after a restore from JSON the next batches have the same bytes, wherever the state was taken", () => {
  fc.assert(
    fc.property(fc.nat(17), fc.nat(17), fc.boolean(), (given, strayed, dropLast) => {
      const batches = createBatches(view, { ...options, dropLast });
      for (let i = 0; i < given; i++) batches.next();
      const json = JSON.stringify(batches.state());
      const wanted = take(batches, 8);
      const other = createBatches(view, { ...options, dropLast, seed: 99 });
      for (let i = 0; i < strayed; i++) other.next();
      for (const restored of [batches, other]) {
        restored.restore(JSON.parse(json) as BatchesState);
        assert.equal(JSON.stringify(restored.state()), json);
        assert.deepEqual(take(restored, 8), wanted);
      }
    }),
    { numRuns: 40 },
  );
});

test("epoch() after a restore gives the rest of the epoch, then whole ones", () => {
  const batches = createBatches(view, options);
  take(batches, 7);
  const resumed = createBatches(view, options);
  resumed.restore(batches.state());
  assert.equal(Array.from(resumed.epoch()).length, 3);
  assert.equal(resumed.state().epoch, 2);
  assert.equal(Array.from(resumed.epoch()).length, 5);
});

test("a state of other data is refused", () => {
  const batches = createBatches(view, options);
  const state = batches.state();
  for (const wrong of [{ images: 24 }, { batchSize: 6 }, { batch: 5 }]) {
    assert.throws(() => batches.restore({ ...state, ...wrong }), {
      name: "UserError",
      message: /checkpoint is of/,
    });
  }
});

test("a view that makes no batch is an error and no endless loop", () => {
  const empty = { set, indices: new Uint32Array(0) };
  assert.throws(() => createBatches(empty, options), {
    name: "UserError",
    message: /0 images make no batch of 5/,
  });
  assert.throws(() => createBatches(view, { ...options, batchSize: 24, dropLast: true }), {
    name: "UserError",
  });
  assert.equal(createBatches(view, { ...options, batchSize: 24 }).next().size, 23);
});
