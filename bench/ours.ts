// darts as a contender: the protocol of peer/peer.py, one JSON request a line on stdin, one answer a line on stdout.
// {"work": "supernet-step" | …, "threads": 2, "batch": 64, "channels": 16, "cells": 8} -> {"ms", "peakMB"}
// {"work": "call", "n": 100000} -> {"ns": {"add": {"1", "4x4"}, "relu": …}};  {"work": "version"} -> {"torch", "threads"}
// {"work": "logits", "folder": …, "images": […]} -> {"logits": […]}
// The first request of a kind also builds, outside the time. Anything wrong -> {"error": …}.
import { createInterface } from "node:readline";
import { seed, setThreads, torchVersion } from "../src/tensor/runtime.ts";
import { scope } from "../src/tensor/scope.ts";
import { callOverhead } from "./call-overhead.ts";
import type { Size, WorkName } from "./work-names.ts";
import { memoryOf } from "./worker.ts";
import { logitsOf, type Step, WORKS } from "./works.ts";

interface Request extends Size {
  readonly work: WorkName | "call" | "logits" | "version";
  readonly threads?: number;
  /** Of `logits`. */
  readonly images?: readonly number[];
  /** Of `call`. */
  readonly n?: number;
}

const steps = new Map<string, Step>();

function answer({ threads, ...request }: Request): object {
  const using = setThreads(threads ?? 0);
  if (request.work === "version") return { torch: torchVersion(), threads: using };
  if (request.work === "call") return { ns: callOverhead(request.n ?? 100_000) };
  if (request.work === "logits")
    return { logits: logitsOf({ folder: request.folder!, images: request.images! }) };
  if (!Object.hasOwn(WORKS, request.work)) throw new RangeError(`unknown work ${request.work}`);
  const key = JSON.stringify(request);
  let step = steps.get(key);
  if (!step) {
    seed(0);
    step = WORKS[request.work](request);
    steps.set(key, step);
  }
  const start = performance.now();
  const loss = scope(step);
  const ms = performance.now() - start;
  if (Number.isNaN(loss)) throw new RangeError("the loss is NaN");
  return { ms, peakMB: memoryOf("self", "VmHWM") || process.resourceUsage().maxRSS / 1024 };
}

for await (const line of createInterface({ input: process.stdin })) {
  let reply: object;
  try {
    reply = answer(JSON.parse(line) as Request);
  } catch (error) {
    reply = { error: String(error) };
  }
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}
