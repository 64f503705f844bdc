// `bench step`: a step of ours, of PyTorch in both memory formats and, in inference, of onnxruntime, one after the other
// in every round.
import { gigaflops } from "./arithmetic.ts";
import { FORMATS, type Format, findOurs, findPeer, OURS, PEER, type Version } from "./contenders.ts";
import { type Exported, exportNetwork } from "./exported.ts";
import { heading, load, machine } from "./machine.ts";
import { type Contender, type Figures, takeRounds } from "./rounds.ts";
import { rounded } from "./statistics.ts";
import { table } from "./table.ts";
import { isInference, publishedBatch, stepsOfTurn, WORK_NAMES, type WorkName } from "./work-names.ts";

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

/** Whom we are compared with. */
type Peer = Format | "onnxruntime";

interface StepReport {
  readonly work: WorkName;
  readonly threads: number;
  readonly ours: Figures;
  /** Floating-point operations of a step in 10⁹ (see arithmetic.ts), and how many of them our median does in a second. */
  readonly gflop: number;
  readonly gflops: number;
  /** Those that took part; null of one that failed. */
  readonly peers: Partial<Record<Peer, Figures | null>> | null;
  /** Peer's median by ours: above 1 we are faster. */
  readonly ratio: Partial<Record<Peer, number | null>> | null;
  readonly batch: number;
  /** Rounds, and steps of everyone in each. */
  readonly runs: number;
  readonly steps: number;
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
  const contenders = contendersOf({ work, batch, threads }, peer, exported);
  const found = await takeRounds(contenders, {
    runs,
    steps: stepsOfTurn(work),
    title: work,
    isEssential: (name) => name === "ours",
  });
  const own = found.get("ours")!;
  const peers = [...found].filter(([name]) => name !== "ours");
  const gflop = rounded(gigaflops(work, batch), 3);
  return {
    work,
    threads,
    ours: own,
    gflop,
    gflops: rounded((1000 * gflop) / own.medianMs),
    peers: peer && Object.fromEntries(peers),
    ratio: peer && Object.fromEntries(peers.map(([name, one]) => [name, ratio(one, own)])),
    batch,
    runs,
    steps: stepsOfTurn(work),
    torch: { ours: ours.torch, peer: peer?.torch ?? null },
    onnxruntime: exported && { version: exported.version, difference: exported.difference },
    machine: machine(),
    load: before,
  };
}

/** Everybody who takes part; with an exported network all compute that one. */
function contendersOf(
  what: { work: WorkName; batch: number; threads: number },
  peer: Version | null,
  exported: Exported | null,
): Map<string, Contender> {
  const request = exported ? { ...what, folder: exported.folder } : what;
  const contenders = new Map<string, Contender>([["ours", { program: OURS, request }]]);
  for (const format of peer ? FORMATS : [])
    contenders.set(format, { program: PEER, request: { ...request, format } });
  if (exported) contenders.set("onnxruntime", { program: exported.program, request });
  return contenders;
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
  gflop,
}: StepReport): string {
  const digits = ours.medianMs < 100 ? 1 : 0;
  const row = (name: string, found: Figures | null, factor = "") =>
    found
      ? [
          ...[name, found.medianMs.toFixed(digits), found.minMs.toFixed(digits), String(found.peakMB)],
          ...[((1000 * gflop) / found.medianMs).toFixed(0), factor],
        ]
      : [name, "failed", "", "", "", ""];
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
  const header = ["", "median ms", "min ms", "peak MB", "GFLOP/s", "of our time"];
  return `${work}: ${WORK_NAMES[work]}, ${batch} ${batch === 1 ? "image" : "images"}, ${threads} ${threads === 1 ? "thread" : "threads"} (load ${before})\n${table(header, rows)}\n`;
}
