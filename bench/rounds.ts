// Rounds of an interleaved benchmark: one turn of each contender in every round, each in a process of its own.
import { createPool, type Sample } from "./pool.ts";
import { median, rounded, snake } from "./statistics.ts";
import type { Program } from "./worker.ts";

/** Who takes part, and what it is told to do. */
export interface Contender {
  readonly program: Program;
  readonly request: object;
}

/** What is reported of a contender's steps. */
export interface Figures {
  readonly medianMs: number;
  readonly minMs: number;
  readonly peakMB: number;
}

/**
 * The figures of each contender, null of one that failed (it may need more memory than there is): that is told on stderr,
 * and it drops out. An `essential` one may not fail.
 */
export async function takeRounds(
  contenders: ReadonlyMap<string, Contender>,
  {
    runs,
    steps = 1,
    title,
    isEssential,
  }: {
    runs: number;
    /** Steps of a turn, all measured. */
    steps?: number;
    title: string;
    isEssential: (name: string) => boolean;
  },
): Promise<Map<string, Figures | null>> {
  const samples = new Map<string, Sample[]>([...contenders.keys()].map((name) => [name, []]));
  const pool = createPool(new Map([...contenders].map(([name, { program }]) => [name, program])));
  try {
    for (let round = 0; round < runs; round++) {
      // A snake also spares a start: the last of a round is the first of the next.
      for (const name of snake([...samples.keys()], round)) {
        try {
          samples.get(name)!.push(...(await pool.turn(name, contenders.get(name)!.request, steps)));
        } catch (error) {
          if (isEssential(name)) throw error;
          process.stderr.write(`${title}, ${name}: ${(error as Error).message}\n`);
          samples.delete(name);
        }
      }
    }
  } finally {
    await pool.stop();
  }
  return new Map([...contenders.keys()].map((name) => [name, figures(samples.get(name))]));
}

function figures(samples: readonly Sample[] | undefined): Figures | null {
  if (!samples || samples.length === 0) return null;
  const times = samples.map(({ ms }) => ms);
  return {
    medianMs: rounded(median(times)),
    minMs: rounded(Math.min(...times)),
    peakMB: Math.round(Math.max(...samples.map(({ peakMB }) => peakMB))),
  };
}
