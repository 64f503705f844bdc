// Feeds damaged inputs to one reader, in a thread that can be stopped: the number of the present input is shared, so
// that the one that never ends is known.
import { parentPort, workerData } from "node:worker_threads";
import { UserError } from "../../src/errors.ts";
import { inputGenerator, mutated } from "../support/damage.ts";
import { fuzzFolder, type Target, targets } from "./targets.ts";

/** What the thread is given. */
export interface FuzzOrder {
  readonly target: string;
  readonly seed: number;
  readonly count: number;
  /** One 32-bit integer: the number of the input being read. */
  readonly present: SharedArrayBuffer;
}

/** What it answers. */
export interface FuzzResult {
  readonly accepted: number;
  readonly refused: number;
  /** Inputs that raised something else than a UserError: their numbers and the error. */
  readonly faults: readonly string[];
  readonly slowest: { readonly index: number; readonly ms: number };
}

/** The `index`-th input for a target. */
export function inputOf(target: Target, seed: number, index: number): Uint8Array {
  const generator = inputGenerator(seed, target.name, index);
  return mutated(target.seeds[generator.int(0, target.seeds.length - 1)]!, generator);
}

async function run({ target: name, seed, count, present }: FuzzOrder): Promise<FuzzResult> {
  const { folder, remove } = fuzzFolder();
  const target = targets(folder).find((candidate) => candidate.name === name)!;
  const number = new Int32Array(present);
  const faults: string[] = [];
  let [accepted, refused] = [0, 0];
  let slowest = { index: -1, ms: 0 };
  for (let index = 0; index < count; index++) {
    number[0] = index;
    const input = inputOf(target, seed, index);
    const started = performance.now();
    try {
      await target.read(input);
      accepted++;
    } catch (error) {
      if (error instanceof UserError && /\S/.test(error.message)) refused++;
      else faults.push(`input ${index}: ${(error as Error).stack ?? String(error)}`);
    }
    const ms = performance.now() - started;
    if (ms > slowest.ms) slowest = { index, ms };
  }
  remove();
  return { accepted, refused, faults: faults.slice(0, 3), slowest };
}

if (parentPort) parentPort.postMessage(await run(workerData as FuzzOrder));
