// Figures and tables as people read them.

/** 0.8412 → "84.12 %". */
export function percent(share: number): string {
  return `${(100 * share).toFixed(2)} %`;
}

/** Rows under each other, the first one a heading: the first column on the left, the others on the right. */
export function textTable(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (row: readonly string[]) =>
    row.map((text, i) => (i === 0 ? text.padEnd(widths[i]!) : text.padStart(widths[i]!))).join("  ");
  return rows.map((row) => line(row).trimEnd()).join("\n");
}
