// Schedules: quantities that depend on the epoch alone.

/** Cosine from `first` to `last` over `epochs`, evaluated at `epoch` = 0 … epochs−1; `last` itself would come at `epochs`. */
export function cosine(first: number, last: number, epochs: number, epoch: number): number {
  return last + ((first - last) * (1 + Math.cos((Math.PI * epoch) / epochs))) / 2;
}

/** Straight line from `first` at `epoch` 0 towards `last` at `span`. */
export function linear(first: number, last: number, span: number, epoch: number): number {
  return first + ((last - first) * epoch) / span;
}

/** first · exp(−rate · epoch): temperatures and dropouts that fade (FBNet, P-DARTS). */
export function exponential(first: number, rate: number, epoch: number): number {
  return first * Math.exp(-rate * epoch);
}
