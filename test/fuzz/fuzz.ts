// Runs one target in a thread of its own and says what became of its inputs.
import assert from "node:assert/strict";
import { Worker } from "node:worker_threads";
import type { FuzzOrder, FuzzResult } from "./worker.ts";

/** No input may take longer than this, on a busy machine and with everything that the thread starts with. */
const STUCK_MS = 60_000;
/** What the process may grow by: several images of the largest size, far from what a bomb would take. */
const MOST_GROWTH_MB = 700;

/** Fuzzes a target with `count` inputs; fails on a crash, a hang, large memory, and errors that are no sentence. */
export async function fuzz(
  target: string,
  { seed, count }: { seed: number; count: number },
): Promise<FuzzResult> {
  const present = new SharedArrayBuffer(4);
  const order: FuzzOrder = { target, seed, count, present };
  const worker = new Worker(new URL("./worker.js", import.meta.url), {
    workerData: order,
    resourceLimits: { maxOldGenerationSizeMb: 512 },
  });
  const before = process.memoryUsage().rss;
  let largest = before;
  let [last, since] = [-1, performance.now()];
  const number = new Int32Array(present);
  const named = (what: string) => new Error(`${target}: input ${number[0]} of seed ${seed} ${what}`);
  const result = await new Promise<FuzzResult>((resolve, reject) => {
    const watch = setInterval(() => {
      largest = Math.max(largest, process.memoryUsage().rss);
      if (number[0] !== last) [last, since] = [number[0]!, performance.now()];
      if (performance.now() - since > STUCK_MS) reject(named("never ends"));
    }, 10);
    worker.once("message", resolve);
    worker.once("error", (error) =>
      reject(Object.assign(named(`ends the thread: ${error.message}`), { cause: error })),
    );
    worker.once("exit", () => clearInterval(watch));
  }).finally(() => worker.terminate());
  assert.deepEqual(result.faults, [], `${target}, seed ${seed}`);
  const growth = (largest - before) / 2 ** 20;
  assert.ok(growth < MOST_GROWTH_MB, `${target}, seed ${seed}: the process grew by ${growth.toFixed(0)} MB`);
  return result;
}
