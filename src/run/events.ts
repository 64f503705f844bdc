// A run's event log: one JSON object a line, only ever appended to. It is the record that summaries and
// boards are made from, so a line is written whole by one call and a crash can tear only the last one.
import { closeSync, ftruncateSync, openSync, readFileSync, statSync, writeSync } from "node:fs";
import type { Config } from "../config/schema.ts";
import type { DataSummary } from "../data/class-counts.ts";
import { UserError } from "../errors.ts";
import { readText, withPath } from "../files.ts";
import type { Genotype } from "../genotype/genotype.ts";

/** The first event of every start of a run. */
export interface RunStartEvent {
  readonly type: "run-start";
  readonly command: string;
  readonly config: Config;
  /** What the run learns from and is measured on. */
  readonly data: DataSummary;
  /** Versions of what computed: darts, node, libtorch. */
  readonly versions: Readonly<Record<string, string>>;
  readonly host: {
    readonly platform: string;
    readonly cpu: string;
    readonly cores: number;
    readonly memoryMB: number;
    readonly threads: number;
  };
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
  /** Raw alphas of each cell type, [edges, primitives]. */
  readonly alphas: { readonly normal: number[][]; readonly reduce: number[][] };
  /** Mean entropy of the softmax over the edges, in nats. */
  readonly entropy: { readonly normal: number; readonly reduce: number };
  /** skip_connect edges of the genotype of the moment. */
  readonly skipCount: { readonly normal: number; readonly reduce: number };
  readonly genotype: Genotype;
  readonly seconds: number;
  readonly stepMs: number;
  readonly rssMB: number;
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
  | ReportEvent
  | ErrorEvent;

/** An event as the log holds it: with the moment it was appended, in ISO 8601. */
export type LoggedEvent = RunEvent & { readonly time: string };

/** A log open for appending. */
export interface EventLog {
  append(event: RunEvent): void;
  close(): void;
}

/**
 * Opens a log for appending, making it if need be; a line torn by a crash is taken off first. `onEvent` hears of each
 * event once it is written.
 */
export function openEvents(path: string, onEvent?: (event: LoggedEvent) => void): EventLog {
  mendTail(path);
  const file = withPath("open", path, () => openSync(path, "a"));
  let open = true;
  return {
    append(event) {
      if (!open) throw new Error(`The event log ${path} is closed: ${event.type} cannot be appended.`);
      const logged: LoggedEvent = { time: new Date().toISOString(), ...event };
      const line = Buffer.from(`${JSON.stringify(logged)}\n`);
      const written = withPath("write", path, () => writeSync(file, line));
      if (written < line.length) throw new UserError(`Cannot write ${path}: no space is left on the disk.`);
      onEvent?.(logged);
    },
    close() {
      if (open) closeSync(file);
      open = false;
    },
  };
}

/** The events of a log in order; a torn last line is left out, any other broken line is an error. */
export function readEvents(path: string): LoggedEvent[] {
  const lines = readText(path, "an event log").split("\n");
  return lines.flatMap((line, index) => {
    if (line === "") return [];
    const event = parseEvent(line);
    if (event) return [event];
    if (index === lines.length - 1) return [];
    throw new UserError(
      `${path}:${index + 1}: expected a JSON object with "type" and "time", got ${line.slice(0, 60)}`,
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
