// What a long job (search, train, run, …) is given besides its configuration, and what it gives back.
// The command line implements the reporter; the job knows no terminal.

import type { LoggedEvent } from "./events.ts";
import type { Interruption } from "./interruption.ts";

/** A running count of work that is shown while it is done. */
export interface Progress {
  /** Work done so far of the total, with figures to show: epoch, step, loss, accuracy. */
  update(done: number, fields?: Readonly<Record<string, string | number>>): void;
  /** One line that stays: an epoch's figures. */
  line(text: string): void;
  /** Ends the display. */
  stop(): void;
}

/** Where a job says what it is doing. Never the place of its result. */
export interface Reporter {
  log(text: string): void;
  /** Starts a progress display of `total` units of work, of which `done` were done before. */
  progress(title: string, total: number, done?: number): Progress;
}

/** What every job that computes in a run folder is given. */
export interface JobOptions {
  readonly reporter: Reporter;
  /**
   * When it is aborted, the job finishes its step, saves, and throws an {@link Interruption} that names the folder to
   * resume.
   */
  readonly signal?: AbortSignal | undefined;
  /** Hears of each event as it is logged. */
  readonly onEvent?: ((event: LoggedEvent) => void) | undefined;
}

/** Options of a job that makes a run folder. */
export interface NewRunOptions extends JobOptions {
  readonly root: string;
  readonly name: string | undefined;
  /** Preset the configuration started from, for the folder's name and the log. */
  readonly preset: string | undefined;
}

/** Options of a job that goes on with an interrupted run. */
export interface ResumeOptions extends JobOptions {
  /** The run's folder. */
  readonly run: string;
}

/** Options of `darts train`: the cell is named, and trained in a run folder of its own. */
export interface TrainOptions extends NewRunOptions {
  /** A published name, a genotype file, a run folder, `-` for standard input, or `random`. */
  readonly cell: string;
}

/** Options of `darts plan`. */
export interface PlanOptions {
  /** `run`, `search`, or a cell as in {@link TrainOptions}. */
  readonly work: string;
  /** Steps of the full size that are timed; 0: none. */
  readonly probeSteps: number;
  readonly reporter: Reporter;
}

/** Options of a job on an existing run folder. */
export interface ExistingRunOptions {
  readonly run: string;
  readonly reporter: Reporter;
}

/** Options of `darts derive`. */
export interface DeriveOptions extends ExistingRunOptions {
  /** Epoch whose alphas are read, counted from 0; the last one when undefined. */
  readonly epoch: number | undefined;
}

/** Options of `darts test`. */
export interface TestOptions extends ExistingRunOptions {
  /** Which network of the run: `found`, `random-1`, … */
  readonly cell: string;
  readonly checkpoint: "best" | "last";
  /** A safetensors file to take the weights from instead. */
  readonly weights: string | undefined;
  /** Ends the measurement between two batches by an {@link Interruption}; nothing is written. */
  readonly signal?: AbortSignal | undefined;
}

/** A job's result: an object for `--json`, a text for people. */
export interface JobResult {
  readonly json: Readonly<Record<string, unknown>>;
  readonly text: string;
}
