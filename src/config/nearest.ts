// The nearest of a list of names, so that an unknown name's error can say what was probably meant.

/**
 * The candidate closest to `name` by edit distance (Levenshtein 1966, letter case ignored), or
 * undefined when more than half of its letters would have to change.
 */
export function nearest(name: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of candidates) {
    // So many letters are added or missing at least: long garbage is not compared letter by letter.
    const longest = Math.max(name.length, candidate.length);
    if (Math.abs(name.length - candidate.length) > Math.max(1, longest / 2)) continue;
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance && distance <= Math.max(1, longest / 2)) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Insertions, deletions and substitutions that turn `a` into `b`, one row of the table at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substituted = row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substituted, row[j] + 1, next[j - 1] + 1));
    }
    row = next;
  }
  return row[b.length];
}
