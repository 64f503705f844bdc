// `bench step`: a step of ours, of PyTorch in both memory formats and, in inference, of onnxruntime, one after the other
// in every round.
import { FORMATS, type Format, findOurs, findPeer, OURS, PEER, type Version } from "./contenders.ts";
import { type Exported, exportNetwork } from "./exported.ts";
import { heading, load, machine } from "./machine.ts";
import { createPool, type Pool, type Sample } from "./pool.ts";
import { median, rounded, snake } from "./statistics.ts";
import { table } from "./table.ts";
import { isInference, publishedBatch, WORK_NAMES, type WorkName } from "./work-names.ts";
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

/** Whom we are compared with. */
type Peer = Format | "onnxruntime";

interface Contender {
  readonly program: Program;
  /** What it needs to be told besides the work. */
  readonly request: object;
}

interface StepReport {
  readonly work: WorkName;
  readonly threads: number;
  readonly ours: Figures;
  /** Those that took part; null of one that failed. */
  readonly peers: Partial<Record<Peer, Figures | null>> | null;
  /** Peer's median by ours: above 1 we are faster. */
  readonly ratio: Partial<Record<Peer, number | null>> | null;
  readonly batch: number;
  readonly runs: number;
  readonly torch: { readonly ours: string; readonly peer: string | null };
  /** Its version, and how far its logits are from everybody's, when it took part. */
  readonly onnxruntime: { readonly version: string; readonly difference: number } | null;
  readonly machine: string;
  /** Load average before the work. */
  readonly load: number;
}

/** Runs the works in turn; prints each when it is done. */
export async function benchStep(options: StepOptions): Promise<void> {
  const { works, batches, threads, json } = options;
  const ours = await findOurs(threads[0]!);
  const peer = await findPeer(threads[0]!);
  const exported = peer && works.some(isInference) ? await exportNetwork(threads[0]!) : null;
  try {
    if (!json) console.log(`${heading()}\n${options.runs} rounds after a warm-up\n`);
    for (const work of works) {
      for (const batch of batches.length > 0 ? batches : [publishedBatch(work)]) {
        for (const number of threads) {
          const what = { work, batch, runs: options.runs, threads: number, ours, peer };
          const report = await measure({ ...what, exported: isInference(work) ? exported : null });
          console.log(json ? JSON.stringify(report) : readable(report));
        }
      }
    }
  } finally {
    exported?.dispose();
  }
}

async function measure(what: {
  work: WorkName;
  batch: number;
  runs: number;
  threads: number;
  ours: Version;
  peer: Version | null;
  exported: Exported | null;
}): Promise<StepReport> {
  const { work, batch, runs, threads, ours, peer, exported } = what;
  const before = load();
  const contenders = contendersOf(peer, exported);
  const samples = new Map<string, Sample[]>([...contenders.keys()].map((name) => [name, []]));
  const pool = createPool(new Map([...contenders].map(([name, { program }]) => [name, program])));
  try {
    for (let round = 0; round < runs; round++) {
      // A snake also spares a start: the last of a round is the first of the next.
      for (const name of snake([...samples.keys()], round)) {
        await takeTurn(pool, samples, name, { work, batch, threads, ...contenders.get(name)!.request });
      }
    }
  } finally {
    await pool.stop();
  }
  const own = figures(samples.get("ours")!)!;
  const peers = [...contenders.keys()]
    .filter((name) => name !== "ours")
    .map((name) => [name, figures(samples.get(name))] as const);
  return {
    work,
    threads,
    ours: own,
    peers: peer && Object.fromEntries(peers),
    ratio: peer && Object.fromEntries(peers.map(([name, found]) => [name, ratio(found, own)])),
    batch,
    runs,
    torch: { ours: ours.torch, peer: peer?.torch ?? null },
    onnxruntime: exported && { version: exported.version, difference: exported.difference },
    machine: machine(),
    load: before,
  };
}

/** Everybody who takes part; with an exported network all compute that one. */
function contendersOf(peer: Version | null, exported: Exported | null): Map<string, Contender> {
  const network = exported ? { folder: exported.folder } : {};
  const contenders = new Map<string, Contender>([["ours", { program: OURS, request: network }]]);
  for (const format of peer ? FORMATS : [])
    contenders.set(format, { program: PEER, request: { ...network, format } });
  if (exported) contenders.set("onnxruntime", { program: exported.program, request: network });
  return contenders;
}

/** One turn of `name`. A peer that fails (it may need more memory than there is) drops out; we must not. */
async function takeTurn(
  pool: Pool,
  samples: Map<string, Sample[]>,
  name: string,
  request: { work: WorkName; batch: number; threads: number },
): Promise<void> {
  try {
    samples.get(name)!.push(await pool.turn(name, request));
  } catch (error) {
    if (name === "ours") throw error;
    process.stderr.write(`${request.work}, ${name}: ${(error as Error).message}\n`);
    samples.delete(name);
  }
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
  onnxruntime,
  load: before,
}: StepReport): string {
  const row = (name: string, found: Figures | null, factor = "") =>
    found
      ? [name, found.medianMs.toFixed(0), found.minMs.toFixed(0), String(found.peakMB), factor]
      : [name, "failed", "", "", ""];
  const rows = [row(`darts, libtorch ${torch.ours}`, ours)];
  const titles: Record<Peer, string> = {
    default: `PyTorch ${torch.peer}, default`,
    channels_last: `PyTorch ${torch.peer}, channels_last`,
    onnxruntime: `onnxruntime ${onnxruntime?.version}`,
  };
  for (const [name, found] of Object.entries(peers ?? {}) as [Peer, Figures | null][]) {
    const factor = ratios?.[name];
    rows.push(row(titles[name], found, factor ? `${factor.toFixed(2)} ×` : ""));
  }
  const header = ["", "median ms", "min ms", "peak MB", "of our time"];
  return `${work}: ${WORK_NAMES[work]}, ${batch} ${batch === 1 ? "image" : "images"}, ${threads} ${threads === 1 ? "thread" : "threads"} (load ${before})\n${table(header, rows)}\n`;
}
