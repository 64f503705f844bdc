// The statistics of a comparison against closed forms: Student's distribution of 1, 2 and 4 degrees of freedom, and its
// limit, the normal one; the pooled test where Welch's is that; Holm's own steps.
import assert from "node:assert/strict";
import { test } from "node:test";
import { holm, sampleOf, studentQuantile, twoSided, welch } from "../../src/compare/statistics.ts";

const near = (got: number, expected: number, tolerance = 1e-12) =>
  assert.ok(Math.abs(got - expected) <= tolerance * Math.max(1, Math.abs(expected)), `${got}, ${expected}`);

test("mean and sample deviation; one number has no deviation, none is no sample", () => {
  assert.deepEqual(sampleOf([2, 4, 4, 4, 5, 5, 7, 9]), { n: 8, mean: 5, sd: Math.sqrt(32 / 7) });
  assert.deepEqual(sampleOf([3]), { n: 1, mean: 3, sd: null });
  assert.equal(sampleOf([]), null);
});

test("Student's distribution has its closed forms of 1, 2 and 4 degrees of freedom", () => {
  for (const t of [0, 0.01, 0.3, 1, 2.5, 12, 400]) {
    near(twoSided(t, 1), 1 - (2 / Math.PI) * Math.atan(t));
    near(twoSided(t, 2), 1 - t / Math.sqrt(2 + t * t));
    const u = t / Math.sqrt(4 + t * t);
    near(twoSided(t, 4), 1 - (3 * u - u ** 3) / 2);
    assert.equal(twoSided(-t, 3.7), twoSided(t, 3.7));
  }
});

test("quantiles invert it, and come to the normal distribution's", () => {
  near(studentQuantile(0.975, 1), Math.tan(0.475 * Math.PI));
  const u = 0.95; // of two degrees: t / √(2 + t²) = 2p − 1
  near(studentQuantile(0.975, 2), u * Math.sqrt(2 / (1 - u * u)));
  near(studentQuantile(0.975, 1e7), 1.959963984540054, 1e-6);
  for (const degrees of [0.8, 2.3, 5.71, 30, 1000])
    near(twoSided(studentQuantile(0.99, degrees), degrees), 0.02, 1e-10);
});

test("Welch's test of samples of one size and spread is the pooled one, and its interval is t's", () => {
  const [a, b] = [sampleOf([1, 2, 3])!, sampleOf([4, 5, 6])!];
  const found = welch(b, a)!;
  near(found.difference, 3);
  near(found.standardError, Math.sqrt(2 / 3));
  near(found.degrees, 4);
  const u = found.t / Math.sqrt(4 + found.t ** 2);
  near(found.p, 1 - (3 * u - u ** 3) / 2);
  const reach = studentQuantile(0.975, 4) * Math.sqrt(2 / 3);
  near(found.interval[0], 3 - reach);
  near(found.interval[1], 3 + reach);
  near(welch(a, b)!.difference, -3);
});

test("its degrees of freedom come near those of the sample that varies, where the other hardly does", () => {
  const steady = { n: 50, mean: 1, sd: 1e-6 };
  near(welch({ n: 3, mean: 2, sd: 0.5 }, steady)!.degrees, 2, 1e-6);
});

test("without a spread there is no test", () => {
  const many = sampleOf([1, 2])!;
  assert.equal(welch(sampleOf([1])!, many), null);
  assert.equal(welch(many, sampleOf([1])!), null);
  assert.equal(welch(sampleOf([1, 1])!, sampleOf([2, 2])!), null);
});

test("Holm's correction multiplies the smallest by all, the next by one fewer, and never goes down or above 1", () => {
  const corrected = holm([0.04, 0.01, 0.03, 0.5]);
  for (const [i, expected] of [0.09, 0.04, 0.09, 0.5].entries()) near(corrected[i]!, expected);
  assert.deepEqual(holm([0.7, 0.9]), [1, 1]);
  assert.deepEqual(holm([0.2]), [0.2]);
});
