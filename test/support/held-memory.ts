// What the process holds, for tests that want it flat.
import { collectGarbage } from "../../src/run/memory.ts";

/**
 * The process' memory in megabytes, and of V8's heap only what is in use: V8 doubles its young generation at a time of
 * its own, which is 16 MB at once.
 */
export function heldMB(): number {
  collectGarbage();
  const { rss, heapTotal, heapUsed } = process.memoryUsage();
  return (rss - heapTotal + heapUsed) / 2 ** 20;
}
