// `bench step`: a step of ours and of PyTorch in both memory formats, one after the other in every round.
import { FORMATS, type Format, findOurs, findPeer, OURS, PEER, type Version } from "./contenders.ts";
import { heading, load, machine } from "./machine.ts";
import { createPool, type Pool, type Sample } from "./pool.ts";
import { median, rounded, snake } from "./statistics.ts";
import { table } from "./table.ts";
import { publishedBatch, WORK_NAMES, type WorkName } from "./work-names.ts";
import type { Program } from "./worker.ts";

/** What is measured. */
export interface StepOptions {
  readonly works: readonly WorkName[];
  /** Batch sizes; empty: the published one of each work. */
  readonly batches: readonly number[];
  readonly runs: number;
  /** Threads on both sides: each number is measured in turn. */
  readonly threads: readonly number[];
  readonly json: boolean;
}

interface Figures {
  readonly medianMs: number;
  readonly minMs: number;
  readonly peakMB: number;
}

interface StepReport {
  readonly work: WorkName;
  readonly threads: number;
  readonly ours: Figures;
  readonly peers: Record<Format, Figures | null> | null;
  /** Peer's median by ours: above 1 we are faster. */
  readonly ratio: Record<Format, number | null> | null;
  readonly batch: number;
  readonly runs: number;
  readonly torch: { readonly ours: string; readonly peer: string | null };
  readonly machine: string;
  /** Load average before the work. */
  readonly load: number;
}

/** Runs the works in turn; prints each when it is done. */
export async function benchStep(options: StepOptions): Promise<void> {
  const { works, batches, threads, json } = options;
  const ours = await findOurs(threads[0]!);
  const peer = await findPeer(threads[0]!);
  if (!json) console.log(`${heading()}\n${options.runs} rounds after a warm-up\n`);
  for (const work of works) {
    for (const batch of batches.length > 0 ? batches : [publishedBatch(work)]) {
      for (const number of threads) {
        const report = await measure({ work, batch, runs: options.runs, threads: number, ours, peer });
        console.log(json ? JSON.stringify(report) : readable(report));
      }
    }
  }
}

async function measure(what: {
  work: WorkName;
  batch: number;
  runs: number;
  threads: number;
  ours: Version;
  peer: Version | null;
}): Promise<StepReport> {
  const { work, batch, runs, threads, ours, peer } = what;
  const before = load();
  const programs = new Map<string, Program>([["ours", OURS]]);
  if (peer) for (const format of FORMATS) programs.set(format, PEER);
  const samples = new Map<string, Sample[]>([...programs.keys()].map((name) => [name, []]));
  const pool = createPool(programs);
  try {
    for (let round = 0; round < runs; round++) {
      // A snake also spares a start: the last of a round is the first of the next.
      for (const name of snake([...samples.keys()], round)) {
        await takeTurn(pool, samples, name, { work, batch, threads, format: name });
      }
    }
  } finally {
    await pool.stop();
  }
  const own = figures(samples.get("ours")!)!;
  const peers = byFormat((format) => figures(samples.get(format)));
  return {
    work,
    threads,
    ours: own,
    peers: peer && peers,
    ratio: peer && byFormat((format) => ratio(peers[format], own)),
    batch,
    runs,
    torch: { ours: ours.torch, peer: peer?.torch ?? null },
    machine: machine(),
    load: before,
  };
}

/** One turn of `name`. A peer that fails (it may need more memory than there is) drops out; we must not. */
async function takeTurn(
  pool: Pool,
  samples: Map<string, Sample[]>,
  name: string,
  { format, ...request }: { work: WorkName; batch: number; threads: number; format: string },
): Promise<void> {
  if (name === "ours") {
    samples.get(name)!.push(await pool.turn(name, request));
    return;
  }
  try {
    samples.get(name)!.push(await pool.turn(name, { ...request, format }));
  } catch (error) {
    process.stderr.write(`${request.work}, PyTorch ${name}: ${(error as Error).message}\n`);
    samples.delete(name);
  }
}

function byFormat<T>(value: (format: Format) => T): Record<Format, T> {
  return { default: value("default"), channels_last: value("channels_last") };
}

function figures(samples: readonly Sample[] | undefined): Figures | null {
  if (!samples || samples.length === 0) return null;
  const times = samples.map(({ ms }) => ms);
  return {
    medianMs: rounded(median(times)),
    minMs: rounded(Math.min(...times)),
    peakMB: Math.round(Math.max(...samples.map(({ peakMB }) => peakMB))),
  };
}

function ratio(peer: Figures | null, ours: Figures): number | null {
  return peer && rounded(peer.medianMs / ours.medianMs, 3);
}

function readable({
  work,
  batch,
  threads,
  ours,
  peers,
  ratio: ratios,
  torch,
  load: before,
}: StepReport): string {
  const row = (name: string, found: Figures | null, factor = "") =>
    found
      ? [name, found.medianMs.toFixed(0), found.minMs.toFixed(0), String(found.peakMB), factor]
      : [name, "failed", "", "", ""];
  const rows = [row(`darts, libtorch ${torch.ours}`, ours)];
  for (const format of peers ? FORMATS : []) {
    const factor = ratios?.[format];
    rows.push(
      row(`PyTorch ${torch.peer}, ${format}`, peers![format], factor ? `${factor.toFixed(2)} ×` : ""),
    );
  }
  const header = ["", "median ms", "min ms", "peak MB", "of our time"];
  return `${work}: ${WORK_NAMES[work]}, ${batch} ${batch === 1 ? "image" : "images"}, ${threads} ${threads === 1 ? "thread" : "threads"} (load ${before})\n${table(header, rows)}\n`;
}
