// How much memory there is, and how much a process takes for its tensors.
import { readFileSync } from "node:fs";
import { freemem } from "node:os";
import type { Config } from "../config/schema.ts";

/** Memory that a run may use. */
export interface MemoryLimit {
  readonly bytes: number;
  /** Where the number comes from. */
  readonly source: "memoryLimit" | "the limit of this process's group" | "free memory of the machine";
}

/**
 * What a process takes beyond its tensors, and by how much the heap is larger than what lies in it: fitted to the
 * peaks of `npm run bench -- memory`. The heap is least dense where batches of tensors above some ten megabytes end in
 * one that is not full: up to 39 % larger was seen, 10 % is usual.
 */
const BESIDE_TENSORS = 110 * 2 ** 20;
const HEAP_FACTOR = 1.12;

/** The process's expected peak (resident set) in bytes, from its size now and the tensors to come. */
export function expectedPeak(residentBytes: number, tensorBytes: number): number {
  return residentBytes + BESIDE_TENSORS + HEAP_FACTOR * tensorBytes;
}

/** The inverse of {@link expectedPeak}: bytes of tensors that a peak leaves room for. */
export function tensorRoom(residentBytes: number, peak: number): number {
  return (peak - residentBytes - BESIDE_TENSORS) / HEAP_FACTOR;
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
