// A child process that answers one JSON line for each JSON line it gets: ours.ts, peer/peer.py and onnx-worker.ts. Each contender
// has a process of its own, so that its peak memory is its own.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

/** How to start a contender. */
export interface Program {
  readonly command: string;
  readonly args: readonly string[];
}

/** A started contender. One request at a time. */
export interface Worker {
  /** Sends a request; rejects with the contender's own words when it failed, or when its process ended. */
  ask<T>(request: object): Promise<T>;
  /** Megabytes that the process holds now; 0 where the system does not tell. */
  residentMB(): number;
  /** Ends the process and waits until its memory is free. */
  stop(): Promise<void>;
}

/** Starts `program`. A command that cannot be run shows in the first {@link Worker.ask}. */
export function startWorker({ command, args }: Program): Worker {
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"] });
  let complaint = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complaint = (complaint + text).slice(-4000);
  });
  child.stdin.on("error", () => {}); // a process that is gone is reported by `ended`
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ended = new Promise<Error>((resolve) => {
    child.on("error", resolve);
    child.on("close", (code, signal) => {
      const hint = signal === "SIGKILL" ? " (out of memory?)" : "";
      const lastWords = complaint.trim().split("\n").at(-1);
      const how = signal ? `by ${signal}${hint}` : `with exit code ${code}`;
      resolve(new Error(`${command} ended ${how}${lastWords ? `: ${lastWords}` : ""}`));
    });
  });
  return {
    async ask<T>(request: object) {
      child.stdin.write(`${JSON.stringify(request)}\n`);
      const line = await lines.next();
      if (line.done) throw await ended;
      const answer = JSON.parse(line.value) as T & { error?: string };
      if (answer.error !== undefined) throw new Error(answer.error);
      return answer;
    },
    residentMB: () => (child.pid === undefined ? 0 : memoryOf(child.pid, "VmRSS")),
    async stop() {
      child.stdin.end();
      await ended;
    },
  };
}

/** Runs `fn` with a contender that is stopped afterwards. */
export async function withWorker<T>(program: Program, fn: (worker: Worker) => Promise<T>): Promise<T> {
  const worker = startWorker(program);
  try {
    return await fn(worker);
  } finally {
    await worker.stop();
  }
}

/** A memory figure of a process in megabytes, as Linux tells it (VmRSS, VmHWM); 0 elsewhere. */
export function memoryOf(process: number | "self", figure: "VmRSS" | "VmHWM"): number {
  try {
    const status = readFileSync(`/proc/${process}/status`, "utf8");
    return Number(new RegExp(`^${figure}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? 0) / 1024;
  } catch {
    return 0;
  }
}
