// darts as a contender: the protocol of peer/peer.py, one JSON request a line on stdin, one answer a line on stdout.
// {"work": "supernet-step" | …, "threads": 2, "batch": 64, "channels": 16, "cells": 8} -> {"ms", "peakMB"}
// {"work": "method-step", "method": "pc-darts", "order": "first", "shape": 0, "threads": 2} -> {"ms", "peakMB"}
// {"work": "methods", "methods": ["darts", …]} -> {"steps": […]}: the method-steps of these, as method-names.ts has them
// {"work": "call", "n": 100000} -> {"ns": {"add": {"1", "4x4"}, "relu": …}};  {"work": "version"} -> {"torch", "threads"}
// {"work": "logits", "folder": …, "images": […]} -> {"logits": […]}
// The first request of a kind also builds, outside the time. Anything wrong -> {"error": …}.
import { createInterface } from "node:readline";
import { seed, setThreads, torchVersion } from "../src/tensor/runtime.ts";
import { scope } from "../src/tensor/scope.ts";
import { callOverhead } from "./call-overhead.ts";
import type { MethodRequest } from "./method-names.ts";
import { methodStep, methodSteps } from "./method-steps.ts";
import type { Size, WorkName } from "./work-names.ts";
import { memoryOf } from "./worker.ts";
import { logitsOf, type Step, WORKS } from "./works.ts";

interface Request extends Size, Partial<Omit<MethodRequest, "work" | "threads">> {
  readonly work: WorkName | "method-step" | "methods" | "call" | "logits" | "version";
  readonly threads?: number;
  /** Of `logits`. */
  readonly images?: readonly number[];
  /** Of `methods`: their names. */
  readonly methods?: readonly string[];
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
  if (request.work === "methods") return { steps: methodSteps(request.methods ?? []) };
  if (request.work !== "method-step" && !Object.hasOwn(WORKS, request.work))
    throw new RangeError(`unknown work ${request.work}`);
  const key = JSON.stringify(request);
  let step = steps.get(key);
  if (!step) {
    seed(0);
    step =
      request.work === "method-step" ? methodStep(request as MethodRequest) : WORKS[request.work](request);
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
