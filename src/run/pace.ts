// Once the first steps of a search or a training are made: how long an epoch and all of it will take.
import type { Reporter } from "./job.ts";
import { duration } from "./plan-text.ts";

/** Steps that are timed, after one to warm up. */
const TIMED = 4;

/** Says it once; the steps are those of the work itself, so that nothing is computed for it. */
export interface Pace {
  /** A step took so many milliseconds. */
  step(milliseconds: number): void;
}

/** The pace of `title`. Work of few steps is over before it could be told. */
export function createPace(
  reporter: Pick<Reporter, "log">,
  title: string,
  { stepsPerEpoch, epochs }: { stepsPerEpoch: number; epochs: number },
): Pace {
  const times: number[] = [];
  const worthIt = stepsPerEpoch * epochs > 4 * TIMED;
  return {
    step(milliseconds) {
      if (!worthIt || times.push(milliseconds) !== TIMED + 1) return;
      const sorted = times.slice(1).sort((a, b) => a - b);
      const median = (sorted[TIMED / 2 - 1]! + sorted[TIMED / 2]!) / 2;
      const epoch = (median * stepsPerEpoch) / 1000;
      reporter.log(
        `${title}: ${duration(median / 1000)} a step, about ${duration(epoch)} an epoch and ` +
          `${duration(epoch * epochs)} in all, by its first steps (evaluation apart)`,
      );
    },
  };
}
