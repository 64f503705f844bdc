// One thing that `darts check` proves: a number computed here beside the number it should be.

/** A number, what it should be, and how far it may be off. */
export interface Check {
  readonly name: string;
  readonly got: number;
  readonly expected: number;
  /** Largest absolute difference that passes. */
  readonly tolerance: number;
  readonly ok: boolean;
}

/** Compares one number; NaN never passes. */
export function compare(name: string, got: number, expected: number, tolerance: number): Check {
  return { name, got, expected, tolerance, ok: Math.abs(got - expected) <= tolerance };
}

/** Compares many numbers: the check's number is the largest difference, NaN if there is one, expected 0. */
export function compareAll(
  name: string,
  got: readonly number[],
  expected: readonly number[],
  tolerance: number,
): Check {
  const same = got.length === expected.length;
  const differences = expected.map((value, i) => Math.abs(got[i]! - value));
  return compare(name, same ? Math.max(...differences) : Number.NaN, 0, tolerance);
}
