import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { PickleError, type PickleValue, readPickle } from "../../src/data/pickle.ts";
import { pythonBatch, randomSet } from "./fixtures.ts";

const fixture = (name: string) =>
  readFileSync(new URL(`../../../test/data/fixtures/${name}.pickle`, import.meta.url));

function entry(value: PickleValue, key: string): PickleValue | undefined {
  assert.ok(value instanceof Map);
  return value.get(key);
}

for (const order of ["c", "fortran"]) {
  test(`a batch that numpy 2 pickled in ${order} order is read row by row`, () => {
    const batch = readPickle(fixture(`batch-${order}-order`));
    assert.deepEqual(entry(batch, "labels"), [3, 8]);
    assert.deepEqual(entry(batch, "filenames"), ["a.png", "b.png"]);
    assert.deepEqual(entry(batch, "data"), {
      shape: [2, 3072],
      data: Uint8Array.from({ length: 6144 }, (_, i) => (7 * (i % 3072) + 11 * Math.floor(i / 3072)) % 256),
    });
  });
}

test("a batch in the form of Python 2 is read", () => {
  const set = randomSet(1, { count: 3 });
  const batch = readPickle(pythonBatch(set));
  assert.deepEqual(entry(batch, "data"), { shape: [3, 3072], data: set.images });
  assert.deepEqual(entry(batch, "labels"), [0, 1, 2]);
});

test("a pickle that calls anything else is refused by name", () => {
  const hostile = Buffer.from("\x80\x02cos\nsystem\nU\x04echo\x85R.", "latin1");
  assert.throws(() => readPickle(hostile), { name: "PickleError", message: /os\.system/ });
});

test("a pickle of a newer protocol says so", () => {
  assert.throws(() => readPickle(Buffer.from([0x80, 4, 0x4e, 0x2e])), /protocol is 4/);
});

test("a cut pickle is an error at every length", () => {
  const whole = pythonBatch(randomSet(2, { count: 1 }));
  for (const length of [0, 1, 5, 50, 200, 3000, whole.length - 1]) {
    assert.throws(() => readPickle(whole.subarray(0, length)), PickleError);
  }
});

test("no sequence of bytes does anything but give a value or an error of its own", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      try {
        readPickle(bytes);
      } catch (error) {
        assert.ok(error instanceof PickleError, `${error}`);
      }
    }),
  );
});
