// Who is compared: darts in a Node process, the same networks in PyTorch, and in onnxruntime where it can compute them.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { locateLibtorch } from "../src/native/locate.ts";
import { type Program, withWorker } from "./worker.ts";

/** The memory formats that PyTorch is measured in. */
export const FORMATS = ["default", "channels_last"] as const;
export type Format = (typeof FORMATS)[number];

/** What a contender computes with. */
export interface Version {
  readonly torch: string;
  readonly threads: number;
}

/** This project. */
export const OURS: Program = {
  command: process.execPath,
  args: ["--enable-source-maps", fileURLToPath(new URL("./ours.js", import.meta.url))],
};

/**
 * PyTorch: the Python that DARTS_BENCH_PYTHON or DARTS_PYTHON names, or python3. The second variable also makes darts
 * itself compute with that Python's libtorch (see locate.ts); the first leaves darts the libtorch it would use anyway.
 */
export const PEER: Program = {
  command: process.env.DARTS_BENCH_PYTHON || process.env.DARTS_PYTHON || "python3",
  // This file is run from dist/bench, the script lies in bench.
  args: [fileURLToPath(new URL("../../bench/peer/peer.py", import.meta.url))],
};

/** onnxruntime-node from the `node_modules` of a folder: it is no dependency, so whoever compares with it installs it. */
export function onnxruntimeIn(folder: string): Program {
  return {
    command: process.execPath,
    args: ["--enable-source-maps", fileURLToPath(new URL("./onnx-worker.js", import.meta.url)), folder],
  };
}

/** Our version; throws a UserError when there is no libtorch, before a child process would. */
export function findOurs(threads: number): Promise<Version> {
  locateLibtorch();
  return versionOf(OURS, threads);
}

/** The peer's version, or null when there is no PyTorch: then stderr says what to do. */
export async function findPeer(threads: number): Promise<Version | null> {
  const { command } = PEER;
  const probe = spawnSync(command, ["-c", "import torch"], { encoding: "utf8" });
  if (!probe.error && probe.status === 0) return versionOf(PEER, threads);
  const reason = probe.error ? probe.error.message : probe.stderr.trim().split("\n").at(-1);
  process.stderr.write(
    `No PyTorch to compare with (${command}: ${reason}): only our own numbers follow.\n` +
      "Install it (pip install torch), or name a Python that has it: DARTS_BENCH_PYTHON=path/to/python npm run bench …\n",
  );
  return null;
}

/** What `program` computes with. */
function versionOf(program: Program, threads: number): Promise<Version> {
  return withWorker(program, (worker) => worker.ask<Version>({ work: "version", threads }));
}
