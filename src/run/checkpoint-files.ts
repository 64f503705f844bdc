// The checkpoints of one work in a run's folder: the last two and the best. A checkpoint says after which event of
// the log it was taken and of which configuration it is.
import { existsSync, renameSync } from "node:fs";
import { join } from "node:path";
import type { Config } from "../config/schema.ts";
import { UserError } from "../errors.ts";
import type { Snapshot } from "../optim/snapshot.ts";
import { scope } from "../tensor/scope.ts";
import { DamagedCheckpoint, loadCheckpoint, loadCheckpointState, saveCheckpoint } from "./checkpoint.ts";
import { differences, fixedSettings } from "./fixed-settings.ts";
import type { RunFolder } from "./run-folder.ts";
import type { Session } from "./session.ts";

/** What a run's checkpoint holds beside the tensors. */
interface RunState {
  /** Events in the log when it was taken. */
  readonly events: number;
  /** The settings that may not change. */
  readonly config: Readonly<Record<string, unknown>>;
  /** The search's or the training's own. */
  readonly work: unknown;
}

/** The checkpoint from which a work goes on. */
export interface ResumePoint {
  /** Name of the work. */
  readonly name: string;
  readonly path: string;
  readonly events: number;
}

/** A run's folder and settings, and where to say what is found there. */
export type RunInFolder = Pick<Session, "config" | "run" | "reporter">;

/** Something that can be saved and continued. */
export interface Savable {
  snapshot(): Snapshot;
  restore(snapshot: Snapshot): void;
}

/** Where the checkpoints of a work lie. */
export function checkpointPaths(run: RunFolder, name: string): Record<"last" | "previous" | "best", string> {
  const file = (which: string) => join(run.files.checkpoints, `${name}-${which}.safetensors`);
  return { last: file("last"), previous: file("previous"), best: file("best") };
}

/** Writes the checkpoints of a work. */
export class CheckpointFiles {
  readonly #session: Pick<Session, "config" | "events">;
  readonly #paths: ReturnType<typeof checkpointPaths>;
  /** Events in the log at the last checkpoint, and how long it took to write. */
  #events = -1;
  #written = performance.now();
  #milliseconds = 0;

  constructor(session: Pick<Session, "config" | "events" | "run">, name: string) {
    this.#session = session;
    this.#paths = checkpointPaths(session.run, name);
  }

  /** Whether it is time for one: never so often that writing takes more than a fiftieth of the time. */
  get due(): boolean {
    const { checkpointSeconds } = this.#session.config;
    const pause = Math.max(1000 * checkpointSeconds, 50 * this.#milliseconds);
    return checkpointSeconds === 0 || performance.now() - this.#written >= pause;
  }

  /**
   * Writes the last checkpoint, unless nothing has happened since. One that `isBest` is the best one as well, and is
   * so first: were it the other way round, a crash between the two would leave an older best for good.
   */
  save(work: Savable, { isBest = false } = {}): void {
    const { events, config } = this.#session;
    if (this.#events === events.count) return;
    const started = performance.now();
    events.flush(); // the log must not end before the checkpoint says it does, also after a power failure
    const { last, previous, best } = this.#paths;
    scope(() => {
      const { tensors, state } = work.snapshot();
      const runState: RunState = { events: events.count, config: fixedSettings(config), work: state };
      saveCheckpoint(last, { tensors, state: runState }, { previous, ...(isBest && { also: best }) });
    });
    this.#events = events.count;
    this.#written = performance.now();
    this.#milliseconds = this.#written - started;
  }

  /** Path of the best checkpoint. */
  get best(): string {
    return this.#paths.best;
  }

  /** Puts `work` where the checkpoint left it. */
  restore(work: Savable, { path, events }: ResumePoint): void {
    scope(() => {
      const { tensors, state } = loadCheckpoint(path);
      work.restore({ tensors, state: (state as RunState).work });
    });
    this.#events = events;
  }
}

/**
 * The newest whole checkpoint of a work for a log of `logged` events; undefined when there is none. A damaged one is
 * put aside, and the reporter told.
 */
export function findCheckpoint(run: RunInFolder, name: string, logged: number): ResumePoint | undefined {
  const { last, previous } = checkpointPaths(run.run, name);
  for (const path of [last, previous]) {
    const events = existsSync(path) ? readPoint(run, path) : undefined;
    if (events === undefined) continue;
    if (events <= logged) return { name, path, events };
    run.reporter.log(
      `${path} was taken after event ${events}, but the log has only ${logged}: it is not used.`,
    );
  }
  return undefined;
}

/** After which event the checkpoint was taken; undefined when it is damaged. */
function readPoint({ config, reporter }: RunInFolder, path: string): number | undefined {
  try {
    const state = loadCheckpointState(path) as RunState;
    requireSameSettings(path, state.config, config);
    return state.events;
  } catch (error) {
    if (!(error instanceof DamagedCheckpoint)) throw error;
    renameSync(path, `${path}.damaged`);
    reporter.log(`${error.message}\nIt is kept as ${path}.damaged; the checkpoint before it serves.`);
    return undefined;
  }
}

function requireSameSettings(path: string, saved: RunState["config"], config: Config): void {
  const differ = differences(saved, fixedSettings(config));
  if (differ.length === 0) return;
  throw new UserError(
    `${path} is of other settings: ${differ.join("; ")}. Put back the run's config.yaml, or start a new run.`,
  );
}
