// Contenders that may not fit in memory together. All that fit stay alive between their turns; before a turn that
// could run short, idle ones are stopped, the largest first, and start anew (with a warm-up step, which does not
// count) when their own turn comes. How much a contender takes is known after its first turn, which it
// therefore makes alone. The paper's second-order step takes 10 GB in PyTorch: two of them do not fit in 16.
import { freemem } from "node:os";
import { type Program, startWorker, type Worker } from "./worker.ts";

/** What a contender says of one step. */
export interface Sample {
  readonly ms: number;
  /** Most memory that its process has held since it began. */
  readonly peakMB: number;
}

/** Contenders by name, at most as many alive as fit. */
export interface Pool {
  /** `steps` measured steps of `name`, one after the other. */
  turn(name: string, request: object, steps: number): Promise<Sample[]>;
  stop(): Promise<void>;
}

/** Left for everything else on the machine. */
const MARGIN_MB = 1024;

/** A pool of `programs`; none is started before its first turn. */
export function createPool(programs: ReadonlyMap<string, Program>): Pool {
  const alive = new Map<string, Worker>();
  const peaks = new Map<string, number>();

  async function stop(name: string): Promise<void> {
    const worker = alive.get(name);
    alive.delete(name);
    await worker?.stop();
  }

  async function makeRoom(name: string): Promise<void> {
    const missing = (peaks.get(name) ?? Number.POSITIVE_INFINITY) - (alive.get(name)?.residentMB() ?? 0);
    const idle = [...alive].filter(([other]) => other !== name);
    idle.sort(([, a], [, b]) => b.residentMB() - a.residentMB());
    for (const [other] of idle) {
      if (freemem() / 2 ** 20 > missing + MARGIN_MB) return;
      await stop(other);
    }
  }

  return {
    async turn(name, request, steps) {
      await makeRoom(name);
      let worker = alive.get(name);
      if (!worker) {
        worker = startWorker(programs.get(name)!);
        alive.set(name, worker);
        await worker.ask<Sample>(request); // builds, and warms up
      }
      const samples: Sample[] = [];
      for (let i = 0; i < steps; i++) samples.push(await worker.ask<Sample>(request));
      peaks.set(name, Math.max(...samples.map(({ peakMB }) => peakMB), peaks.get(name) ?? 0));
      return samples;
    },
    async stop() {
      for (const name of [...alive.keys()]) await stop(name);
    },
  };
}
