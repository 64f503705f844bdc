// Which candidates stand on which edge, where that is not all of them on every edge: in spaces that say so (S1), and in
// searches that drop candidates on the way (P-DARTS) or decide edges (SGAS).

/** For each cell type and edge its candidates, as ascending columns of the alphas. */
export interface Candidates {
  readonly normal: readonly (readonly number[])[];
  readonly reduce: readonly (readonly number[])[];
}

/** Every one of `operations` candidates on each of `edges` edges. */
export function allCandidates(edges: number, operations: number): Candidates {
  const row = Array.from({ length: operations }, (_, k) => k);
  const rows = Array.from({ length: edges }, () => row);
  return { normal: rows, reduce: rows };
}

/** The rows with -Infinity, a probability of zero, where an edge does not have the candidate. */
export function onCandidates(
  rows: readonly (readonly number[])[],
  candidates: readonly (readonly number[])[] | undefined,
): number[][] {
  return rows.map((row, edge) =>
    row.map((alpha, k) => (candidates && !candidates[edge]!.includes(k) ? Number.NEGATIVE_INFINITY : alpha)),
  );
}
