// How much memory there is, and how much a process takes for its tensors.
import { readFileSync } from "node:fs";
import { freemem } from "node:os";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Config } from "../config/schema.ts";

/** Memory that a run may use. */
export interface MemoryLimit {
  readonly bytes: number;
  /** Where the number comes from. */
  readonly source: "memoryLimit" | "the limit of this process's group" | "free memory of the machine";
}

/** What a process takes beside its tensors while it computes; fitted, like the factors, to `npm run bench -- memory`. */
const BESIDE_TENSORS = 15 * 2 ** 20;
/** Gaps in the pool: 2 % of a large search's tensors, 8 to 12 % of a training's, 16 % of a composite search's. */
const POOL_FACTOR = 1.08;
/** Tensors below 64 KB lie in the C library's heap, which has holes. */
const HEAP_FACTOR = 1.2;

/** Bytes of tensors at one time, and how many of them lie in the kernels' and libtorch's pool. */
export interface TensorBytes {
  readonly bytes: number;
  readonly pooled: number;
}

/** The memory that tensors take, with the gaps between them. */
export function memoryFor({ bytes, pooled }: TensorBytes): number {
  return POOL_FACTOR * pooled + HEAP_FACTOR * (bytes - pooled);
}

/** The process's expected peak (resident set) in bytes, from its size between two steps and {@link memoryFor} its tensors. */
export function expectedPeak(residentBytes: number, tensorMemory: number): number {
  return residentBytes + BESIDE_TENSORS + tensorMemory;
}

/** The inverse of {@link expectedPeak}: memory for tensors that a peak leaves room for. */
export function tensorRoom(residentBytes: number, peak: number): number {
  return peak - residentBytes - BESIDE_TENSORS;
}

/**
 * Bytes that this process holds now (its resident set) without V8's garbage: that may be a buffer as large as the data, and
 * is collected in its own time, but before a long run is at its peak.
 */
export function heldBytes(): number {
  collectGarbage();
  return process.memoryUsage.rss();
}

/** Frees what V8 holds and nobody reaches. */
export function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
}

/** The most bytes that this process has held since it began (its resident set). */
export function peakBytes(): number {
  try {
    // What getrusage tells of a process begins with the size of the one that started it.
    const status = readFileSync("/proc/self/status", "utf8");
    return Number(/^VmHWM:\s+(\d+) kB/m.exec(status)![1]) * 1024;
  } catch {
    return process.resourceUsage().maxRSS * 1024;
  }
}

/** The configured limit, or what is free and not cut off by a container's (cgroup's) limit. */
export function memoryLimit({ memoryLimit: megabytes }: Pick<Config, "memoryLimit">): MemoryLimit {
  if (megabytes !== null) return { bytes: megabytes * 2 ** 20, source: "memoryLimit" };
  const free = freemem() + process.memoryUsage.rss();
  // 0 or a number beyond any memory when there is no limit.
  const group = process.constrainedMemory();
  return group > 0 && group < free
    ? { bytes: group, source: "the limit of this process's group" }
    : { bytes: free, source: "free memory of the machine" };
}
