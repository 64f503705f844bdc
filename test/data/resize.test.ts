import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Pixels, resizeInto } from "../../src/data/resize.ts";

function resized(pixels: Pixels, side: number): number[] {
  const target = new Uint8Array(pixels.channels * side * side);
  resizeInto(pixels, { height: side, width: side }, target, 0);
  return [...target];
}

const row = (...values: number[]): Pixels => ({
  width: values.length,
  height: 1,
  channels: 1,
  data: Uint8Array.from(values),
});

test("an image of the right size only has its channels separated", () => {
  const data = Uint8Array.from({ length: 12 }, (_, i) => i);
  assert.deepEqual(
    resized({ width: 2, height: 2, channels: 3, data }, 2),
    [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11],
  );
});

test("halving weighs four pixels 1 3 3 1, less where the border cuts them", () => {
  const got = resized(row(0, 0, 80, 0, 0, 0, 0, 0), 4).slice(0, 4);
  // Pixel 0 has the weights 3 3 1 of 7 and sees 80 with 1; pixel 1 has 1 3 3 1 of 8 and sees it with 3.
  assert.deepEqual(got, [Math.round(80 / 7), 30, 0, 0]);
});

test("a checkerboard shrinks to grey and does not alias", () => {
  const data = Uint8Array.from({ length: 64 * 64 }, (_, i) => (((i >> 6) + i) & 1) * 255);
  for (const value of resized({ width: 64, height: 64, channels: 1, data }, 8))
    assert.ok(Math.abs(value - 127.5) < 2);
});

test("enlarging interpolates between pixel centres", () => {
  assert.deepEqual(resized(row(0, 100), 4).slice(0, 4), [0, 25, 75, 100]);
});

test("a constant image stays constant and no value leaves the range, at any size", () => {
  const length = fc.integer({ min: 1, max: 20 });
  fc.assert(
    fc.property(length, length, length, fc.nat(255), (width, height, side, value) => {
      const constant = { width, height, channels: 1, data: new Uint8Array(width * height).fill(value) };
      assert.ok(resized(constant, side).every((pixel) => pixel === value));
    }),
  );
});

test("resized images equal PyTorch's with antialiasing, up to rounding", () => {
  // torch.nn.functional.interpolate(x, (3, 3), mode="bilinear", antialias=True) of the image below.
  const data = Uint8Array.from({ length: 35 }, (_, i) => (i * i * 7) % 256);
  const wanted = [58.776, 97.345, 183.673, 67.921, 147.418, 198.016, 128.653, 105.782, 142.041];
  const got = resized({ width: 7, height: 5, channels: 1, data }, 3);
  for (const [i, value] of got.entries())
    assert.ok(Math.abs(value - wanted[i]) <= 0.51, `${i}: ${value}, ${wanted[i]}`);
});
