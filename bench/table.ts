// A table for people: columns wide enough, the first one on the left, numbers on the right.

/** Lines of `rows` under `header`. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => (row[column] ?? "").length)));
  const line = (row: readonly string[]) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join("  ");
  return all.map((row) => `  ${line(row)}`.trimEnd()).join("\n");
}
