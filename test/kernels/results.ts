// What a way to compute a cell or a network gives, and the comparison of two ways.
import assert from "node:assert/strict";
import { operator } from "../../src/tensor/aten.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import { assertClose } from "../support/assert-close.ts";

const TOLERANCE = 1e-5;

/** The portable build has no fused multiply-add: every product is rounded, and its sums come out about twice as far off. */
const ROUNDING = operator("darts::kernel_lanes")() === 4 ? 2 : 1;

/** Share of the largest gradient below which rounding is compared with that share; the same for running statistics, of 1. */
const FLOOR = 0.02;

const largest = (values: readonly number[]) =>
  values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

/** What one way to compute a cell gave. */
export interface Result {
  readonly output: Tensor;
  readonly gradients: ReadonlyMap<string, Tensor | undefined>;
  readonly statistics: ReadonlyMap<string, Tensor>;
}

/** Fails unless float32 kernels gave what the oracle gave in float64, but for rounding. */
export function assertSameResults(mine: Result, oracle: Result, tolerance = TOLERANCE): void {
  const close = (got: Tensor, expected: Tensor, what: string, floor = 0) => {
    const [a, b] = [got, expected].map((tensor) => tensor.to({ dtype: "float64" }).toNumbers());
    const scale = Math.max(floor / Math.max(largest(b), Number.MIN_VALUE), 1);
    assert.deepEqual(got.shape, expected.shape, what);
    assertClose(a, b, ROUNDING * tolerance * scale, what);
  };
  // A normalisation takes out what its weights scale: with one or two channels their gradients cancel, to zero in
  // exact arithmetic, and keep the rounding of their terms. So what is far below the largest is compared with that.
  const gradients = [...oracle.gradients.values()].map((value) => (value ? largest(value.toNumbers()) : 0));
  const floor = FLOOR * Math.max(...gradients);
  close(mine.output, oracle.output, "output");
  for (const [name, expected] of oracle.gradients) {
    const got = mine.gradients.get(name);
    // What nothing reads has a gradient of zeros here, and none there.
    if (expected) close(got!, expected, `gradient of ${name}`, floor);
    else if (got)
      assert.ok(
        got.toNumbers().every((value) => value === 0),
        `gradient of ${name} is zero`,
      );
  }
  for (const [name, expected] of oracle.statistics) close(mine.statistics.get(name)!, expected, name, FLOOR);
}
