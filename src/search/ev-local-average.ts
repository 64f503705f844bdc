// RobustDARTS' rule for ending a search (Zela et al., ICLR 2020, section 4.3, EVLocalAvg in the released code): when
// the local average of the largest eigenvalue has grown by a factor in a few samples, the search goes back to before.

/** The eigenvalue at the end of an epoch. */
export interface EigenvalueSample {
  readonly epoch: number;
  readonly value: number;
}

/** The rule's constants. */
export interface EvLocalAverageOptions {
  /** Epochs from sample to sample. */
  readonly every: number;
  /** Samples in a local average, centred; fewer where they are not there yet. */
  readonly window: number;
  /** Samples between the two averages that are compared. */
  readonly delta: number;
  /** Growth that ends the search. */
  readonly factor: number;
  /** First epoch that a search may go back to. */
  readonly start: number;
}

/** The released code's constants; its scripts take a sample every second epoch. */
export const EV_LOCAL_AVERAGE: EvLocalAverageOptions = {
  every: 2,
  window: 5,
  delta: 4,
  factor: 1.3,
  start: 10,
};

/** The rule after the last of `samples`: the epoch to go back to and the growth since, or undefined to go on. */
export function evLocalAverage(
  samples: readonly EigenvalueSample[],
  { every, window, delta, factor, start }: EvLocalAverageOptions,
): { readonly back: number; readonly growth: number } | undefined {
  const last = samples.at(-1);
  if (!last) return undefined;
  const half = Math.floor(window / 2) * every;
  const centre = last.epoch - half;
  const back = centre - delta * every;
  if (back < start) return undefined;
  const average = (epoch: number) => {
    const near = samples.filter((sample) => Math.abs(sample.epoch - epoch) <= half);
    return near.reduce((sum, { value }) => sum + value, 0) / near.length;
  };
  const growth = average(centre) / average(back);
  // A falling average of negative numbers has a large quotient too.
  return average(centre) > average(back) && growth > factor ? { back, growth } : undefined;
}
