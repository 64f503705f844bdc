// A run's event log: one JSON object a line, only ever appended to. It is the record that summaries and
// boards are made from, so a line is written whole by one call and a crash can tear only the last one.
import { closeSync, ftruncateSync, openSync, readFileSync, statSync, writeSync } from "node:fs";
import type { Config } from "../config/schema.ts";
import type { DataSummary } from "../data/class-counts.ts";
import { UserError } from "../errors.ts";
import { readText, withPath } from "../files.ts";
import type { Genotype } from "../genotype/genotype.ts";
import { openPieces, PIECE_BYTES, piecePaths } from "./event-pieces.ts";
import type { HealthEvent } from "./health.ts";
import type { SearchOutcome, TrainOutcome } from "./outcomes.ts";
import type { RunStart } from "./run-record.ts";

/** The first event of a run: what it is, and the process that began it. */
export interface RunStartEvent extends Omit<RunStart, "time"> {
  readonly type: "run-start";
  readonly command: string;
  readonly config: Config;
  /** What the run learns from and is measured on. */
  readonly data: DataSummary;
}

/** One step of the search; losses are means over the mini-batch, null where the step computed none. */
export interface SearchStepEvent {
  readonly type: "search-step";
  readonly epoch: number;
  readonly step: number;
  readonly steps: number;
  readonly trainLoss: number;
  readonly validLoss: number | null;
  readonly learningRate: number;
  readonly ms: number;
}

/** One epoch of the search; accuracies are top-1 in 0…1, the architecture is as the epoch left it. */
export interface SearchEpochEvent {
  readonly type: "search-epoch";
  readonly epoch: number;
  readonly trainLoss: number;
  readonly trainAccuracy: number;
  readonly validLoss: number | null;
  readonly validAccuracy: number | null;
  readonly learningRate: number;
  /** Raw alphas of each cell type, [edges, primitives]; null where an edge does not have the candidate. */
  readonly alphas: {
    readonly normal: readonly (readonly (number | null)[])[];
    readonly reduce: readonly (readonly (number | null)[])[];
  };
  /** Largest eigenvalue of the validation loss's Hessian in the alphas, in epochs that measured it. */
  readonly eigenvalue?: number;
  /** Raw logits of the edges of each cell type, [edges]; only of a method that learns them (PC-DARTS' betas). */
  readonly edgeLogits?: { readonly normal: number[]; readonly reduce: number[] };
  /** What the method says of itself: temperatures, radii, prices. */
  readonly figures?: Readonly<Record<string, number>>;
  /** Mean entropy of the softmax over the edges, in nats. */
  readonly entropy: { readonly normal: number; readonly reduce: number };
  /** The same were all candidates of each edge level. */
  readonly evenEntropy: { readonly normal: number; readonly reduce: number };
  /** skip_connect edges of the genotype of the moment. */
  readonly skipCount: { readonly normal: number; readonly reduce: number };
  readonly genotype: Genotype;
  /** Alphas whose gradient was exactly zero in every step of the epoch. */
  readonly deadAlphas: readonly string[];
  readonly seconds: number;
  readonly stepMs: number;
  readonly rssMB: number;
  /** The most that the process has held so far; absent in logs of earlier versions. */
  readonly peakMB?: number;
  readonly liveTensors: number;
}

/** One step of training a derived network; `cell` says which: `found`, `random-1`, … */
export interface TrainStepEvent {
  readonly type: "train-step";
  readonly cell: string;
  readonly epoch: number;
  readonly step: number;
  readonly steps: number;
  readonly trainLoss: number;
  readonly learningRate: number;
  readonly ms: number;
}

/** One epoch of training a derived network. The test images are not looked at here: see the report. */
export interface TrainEpochEvent {
  readonly type: "train-epoch";
  readonly cell: string;
  readonly epoch: number;
  readonly trainLoss: number;
  readonly trainAccuracy: number;
  readonly learningRate: number;
  readonly dropPath: number;
  readonly seconds: number;
  readonly stepMs: number;
  readonly rssMB: number;
  /** The most that the process has held so far; absent in logs of earlier versions. */
  readonly peakMB?: number;
  readonly liveTensors: number;
}

/** A cell was derived, by a search or drawn at random. */
export interface DeriveEvent {
  readonly type: "derive";
  readonly cell: string;
  /** Epoch of the search whose alphas were read; null for a random cell. */
  readonly epoch: number | null;
  readonly genotype: Genotype;
  readonly params: number;
  readonly macs: number;
}

/** A search is over: what a resumed run need not do again. */
export interface SearchEndEvent {
  readonly type: "search-end";
  readonly outcome: SearchOutcome;
}

/** The training of a cell is over, its network measured. */
export interface TrainEndEvent {
  readonly type: "train-end";
  readonly outcome: TrainOutcome;
}

/** The final report, as in report.json. */
export interface ReportEvent {
  readonly type: "report";
  readonly report: Readonly<Record<string, unknown>>;
}

/** What stopped a run, and where it was. */
export interface ErrorEvent {
  readonly type: "error";
  readonly message: string;
  readonly epoch?: number;
  readonly step?: number;
}

/** Anything a run logs. */
export type RunEvent =
  | RunStartEvent
  | SearchStepEvent
  | SearchEpochEvent
  | TrainStepEvent
  | TrainEpochEvent
  | DeriveEvent
  | SearchEndEvent
  | TrainEndEvent
  | ReportEvent
  | ErrorEvent
  | HealthEvent;

/** An event as the log holds it: with the moment it was appended, in ISO 8601. */
export type LoggedEvent = RunEvent & { readonly time: string };

/**
 * The fields of events and reports that measure the machine and the moment. All others are the same in two runs of
 * one configuration and seed, whether or not one of them was interrupted and resumed.
 */
export const MEASURED: readonly string[] = [
  "time",
  "ms",
  "stepMs",
  "seconds",
  "rssMB",
  "peakMB",
  "liveTensors",
  "host",
];

/** A value without its {@link MEASURED} fields, at any depth: what two equal runs agree on. */
export function withoutMeasured(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutMeasured);
  if (typeof value !== "object" || value === null) return value;
  const kept = Object.entries(value).filter(([name]) => !MEASURED.includes(name));
  return Object.fromEntries(kept.map(([name, field]) => [name, withoutMeasured(field)]));
}

/** A log open for appending. */
export interface EventLog {
  /** Events in the log. */
  readonly count: number;
  append(event: RunEvent): void;
  /** Takes off all but the first `count` events. */
  cut(count: number): void;
  /** Makes what was appended survive a power failure. */
  flush(): void;
  close(): void;
}

/** How a log is opened. */
export interface OpenEventsOptions {
  /** Hears of each event after it was written. */
  readonly onEvent?: ((event: LoggedEvent) => void) | undefined;
  /** A log above this size goes on in a new piece. */
  readonly pieceBytes?: number;
}

/** Opens a log for appending, making it if need be; a line torn by a crash is taken off first. */
export function openEvents(
  path: string,
  { onEvent, pieceBytes = PIECE_BYTES }: OpenEventsOptions = {},
): EventLog {
  mendTail(path);
  const pieces = openPieces(path, pieceBytes);
  const ends = lineEnds(path);
  let open = true;
  return {
    get count() {
      return ends.length;
    },
    append(event) {
      if (!open) throw new Error(`The event log ${path} is closed: ${event.type} cannot be appended.`);
      const logged: LoggedEvent = { time: new Date().toISOString(), ...event };
      const line = Buffer.from(`${JSON.stringify(logged)}\n`);
      pieces.append(line);
      ends.push((ends.at(-1) ?? 0) + line.length);
      onEvent?.(logged);
    },
    cut(count) {
      if (count >= ends.length) return;
      pieces.truncate(ends[count - 1] ?? 0);
      ends.length = count;
    },
    flush() {
      pieces.flush();
    },
    close() {
      if (open) pieces.close();
      open = false;
    },
  };
}

/** Where each line ends, in bytes from the beginning of the first piece. */
function lineEnds(path: string): number[] {
  const ends: number[] = [];
  let before = 0;
  for (const piece of piecePaths(path)) {
    if (!statSync(piece).isFile()) return [];
    const content = readFileSync(piece);
    for (let start = 0, at = content.indexOf("\n"); at >= 0; at = content.indexOf("\n", start)) {
      if (at > start) ends.push(before + at + 1); // an empty line is no event
      start = at + 1;
    }
    before += content.length;
  }
  return ends;
}

/** The events of a log in order; a torn last line is left out, any other broken line is an error. */
export function readEvents(path: string): LoggedEvent[] {
  const pieces = piecePaths(path);
  return pieces.flatMap((piece, i) => readPiece(piece, i === pieces.length - 1));
}

function readPiece(path: string, isLast: boolean): LoggedEvent[] {
  const lines = readText(path, "an event log").split("\n");
  return lines.flatMap((line, index) => {
    if (line === "") return [];
    const event = parseEvent(line);
    if (event) return [event];
    if (isLast && index === lines.length - 1) return [];
    throw new UserError(
      `${path}:${index + 1}: expected a JSON object with "type" and "time", got ${JSON.stringify(line.slice(0, 60))}. ` +
        "Take the line out, or use a copy of the log.",
    );
  });
}

function parseEvent(line: string): LoggedEvent | undefined {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value !== "object" || value === null) return undefined;
    const { type, time } = value as Record<string, unknown>;
    return typeof type === "string" && typeof time === "string" ? (value as LoggedEvent) : undefined;
  } catch {
    return undefined;
  }
}

/** A new line after a torn one would glue to it and both would be lost. */
function mendTail(path: string): void {
  if (!statSync(path, { throwIfNoEntry: false })?.isFile()) return;
  withPath("open", path, () => {
    const content = readFileSync(path);
    const end = content.lastIndexOf("\n") + 1;
    if (end === content.length) return;
    const file = openSync(path, "r+");
    try {
      if (parseEvent(content.subarray(end).toString())) writeSync(file, "\n", content.length);
      else ftruncateSync(file, end);
    } finally {
      closeSync(file);
    }
  });
}
