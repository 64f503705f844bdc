// Softmax and entropy of plain rows of numbers, for what is computed from alphas after they left the tensors.

/** A table of numbers, one row for each edge and one column for each operation. */
export type Matrix = readonly (readonly number[])[];

/** The softmax of one row; -Infinity gives an exact zero, and nothing else gives zeros. */
export function softmax(row: readonly number[]): number[] {
  const largest = Math.max(...row);
  if (largest === Number.NEGATIVE_INFINITY) return row.map(() => 0);
  const exps = row.map((value) => Math.exp(value - largest));
  const total = exps.reduce((sum, value) => sum + value, 0);
  return exps.map((value) => value / total);
}

/** The softmax of each row by itself. */
export function softmaxRows(rows: Matrix): number[][] {
  return rows.map(softmax);
}

/** The entropy of a distribution in nats: 0 when one operation has won, log n when all n are level. */
export function entropy(probabilities: readonly number[]): number {
  return probabilities.reduce((sum, p) => (p > 0 ? sum - p * Math.log(p) : sum), 0);
}
