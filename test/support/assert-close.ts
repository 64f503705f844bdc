// Comparison of numbers with what they should be, relative to the largest of them.
import assert from "node:assert/strict";
import { Tensor } from "../../src/tensor/tensor.ts";

type Numbers = Tensor | number | readonly number[];

/**
 * Below this size numbers are compared absolutely: a gradient that is zero in exact arithmetic (a convolution's
 * mean before batch normalisation, say) is rounding noise on both sides.
 */
const SMALL = 1e-3;

/** Set DARTS_REPORT_ERRORS to print the largest error of every comparison. */
const report = process.env.DARTS_REPORT_ERRORS !== undefined;

/** Asserts equal shapes, and differences of at most `tolerance` times the largest expected number. */
export function assertClose(actual: Numbers, expected: Numbers, tolerance: number, what: string): void {
  if (actual instanceof Tensor && expected instanceof Tensor) {
    assert.deepEqual(actual.shape, expected.shape, `${what}: shape`);
  }
  const [got, wanted] = [numbersOf(actual), numbersOf(expected)];
  assert.equal(got.length, wanted.length, `${what}: number of elements`);
  let [absolute, largest, at] = [0, 0, 0];
  for (const [i, value] of wanted.entries()) {
    largest = Math.max(largest, Math.abs(value));
    const error = got[i] === value ? 0 : Math.abs(got[i]! - value);
    if (error <= absolute) continue;
    [absolute, at] = [error, i];
  }
  const relative = absolute / Math.max(largest, SMALL);
  if (report) console.log(`# ${what}: relative error ${relative.toExponential(1)}, tolerance ${tolerance}`);
  const ok = relative <= tolerance;
  const place = `element ${at} is ${got[at]}, expected ${wanted[at]}`;
  const size = `largest error ${absolute.toExponential(2)}, relative ${relative.toExponential(2)}`;
  assert.ok(ok, `${what}: ${place}; ${size}, tolerance ${tolerance}`);
}

/** Compares tensors by name; every expected one must be there. */
export function assertAllClose(
  actual: ReadonlyMap<string, Tensor | undefined>,
  expected: ReadonlyMap<string, Tensor>,
  tolerance: number,
  what: string,
): void {
  assert.ok(expected.size > 0, `${what}: nothing to compare with`);
  for (const [name, value] of expected) {
    const found = actual.get(name);
    assert.ok(found, `${what}: ${name} is missing`);
    assertClose(found, value, tolerance, `${what} ${name}`);
  }
}

function numbersOf(value: Numbers): readonly number[] {
  if (typeof value === "number") return [value];
  return value instanceof Tensor ? value.toNumbers() : value;
}
