// `bench call`: the cost of calling an operator from JavaScript against that from Python, in alternating rounds.
import type { CallTimes } from "./call-overhead.ts";
import { findOurs, findPeer, OURS, PEER, type Version } from "./contenders.ts";
import { heading, load, machine } from "./machine.ts";
import { median, rounded, snake } from "./statistics.ts";
import { table } from "./table.ts";
import { type Program, startWorker } from "./worker.ts";

const CALLS = 100_000;
const OPERATORS = ["add", "relu"] as const;
const SHAPES = ["1", "4x4"] as const;

interface Figures {
  readonly medianNs: number;
  readonly minNs: number;
}
type Report<T> = Record<(typeof OPERATORS)[number], Record<(typeof SHAPES)[number], T>>;

/** Runs `runs` rounds and prints them. Both contenders fit in memory and stay alive. */
export async function benchCall({ runs, json }: { runs: number; json: boolean }): Promise<void> {
  const torch = { ours: await findOurs(1), peer: await findPeer(1) };
  const before = load();
  const rounds = await measure(torch.peer, runs);
  const ours = summary(rounds.ours);
  const peer = torch.peer && summary(rounds.peer);
  const ratio = peer && each((op, shape) => rounded(peer[op][shape].medianNs / ours[op][shape].medianNs, 3));
  const versions = { ours: torch.ours.torch, peer: torch.peer?.torch ?? null };
  if (json) {
    const about = { runs, calls: CALLS, torch: versions, machine: machine(), load: before };
    console.log(JSON.stringify({ work: "call", ours, peer, ratio, ...about }));
    return;
  }
  const rows = OPERATORS.flatMap((op) =>
    SHAPES.map((shape) => {
      const cells = (found: Figures | undefined) =>
        [found?.medianNs, found?.minNs].map((ns) => ns?.toFixed(0) ?? "");
      const factor = ratio ? `${ratio[op][shape].toFixed(2)} ×` : "";
      return [`${op} [${shape}]`, ...cells(ours[op][shape]), ...cells(peer?.[op][shape]), factor];
    }),
  );
  const header = ["ns a call", "darts median", "min", "PyTorch median", "min", "of our time"];
  const who = `darts on libtorch ${versions.ours}, PyTorch ${versions.peer ?? "missing"}`;
  console.log(
    `${heading()}\n${who}\n${runs} rounds of ${CALLS} calls, freeing included\n${table(header, rows)}`,
  );
}

async function measure(peer: Version | null, runs: number): Promise<Record<"ours" | "peer", CallTimes[]>> {
  const rounds: Record<"ours" | "peer", CallTimes[]> = { ours: [], peer: [] };
  const programs: ["ours" | "peer", Program][] = peer
    ? [
        ["ours", OURS],
        ["peer", PEER],
      ]
    : [["ours", OURS]];
  const workers = programs.map(([name, program]) => ({ name, worker: startWorker(program) }));
  try {
    for (let round = -1; round < runs; round++) {
      for (const { name, worker } of snake(workers, round + 1)) {
        const { ns } = await worker.ask<{ ns: CallTimes }>({ work: "call", n: CALLS, threads: 1 });
        if (round >= 0) rounds[name].push(ns); // the round before the first one warms up
      }
    }
  } finally {
    for (const { worker } of workers) await worker.stop();
  }
  return rounds;
}

function summary(rounds: readonly CallTimes[]): Report<Figures> {
  return each((op, shape) => {
    const times = rounds.map((round) => round[op][shape]);
    return { medianNs: rounded(median(times)), minNs: rounded(Math.min(...times)) };
  });
}

function each<T>(value: (op: (typeof OPERATORS)[number], shape: (typeof SHAPES)[number]) => T): Report<T> {
  const shapes = (op: (typeof OPERATORS)[number]) => ({ "1": value(op, "1"), "4x4": value(op, "4x4") });
  return { add: shapes("add"), relu: shapes("relu") };
}
