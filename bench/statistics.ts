// What is reported of several measurements of one thing: the median, and the minimum beside it, because on a
// shared machine every disturbance makes a run longer and none makes it shorter.

/** The middle value; of an even number of values the mean of the middle two. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError("the median of no values");
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/** `value` with at most `digits` decimals: enough for a report, and short as JSON. */
export function rounded(value: number, digits = 1): number {
  return Number(value.toFixed(digits));
}

/** Of A and B in the rounds of an interleaved benchmark: A B C, then C B A, so that nobody is always first. */
export function snake<T>(items: readonly T[], round: number): T[] {
  return round % 2 === 0 ? [...items] : [...items].reverse();
}
