// The health of a run, read off its events: losses that spike, alphas that are dead, numbers that stop being finite.
// A pure function of the log, so that a resumed run, shown the events before it, judges like one never interrupted.
import type { Divergence } from "../nn/divergence.ts";
import type { EventLog, LoggedEvent, RunEvent } from "./events.ts";

/** Something about a run that a person should look at. */
export interface HealthEvent {
  readonly type: "health";
  readonly kind: "loss-spike" | "dead-alphas" | "not-finite" | "collapse" | "budget";
  /** `search`, the name of the cell in training, or `training`. */
  readonly phase: string;
  /** Counted from 0. */
  readonly epoch: number;
  /** Counted from 0; null where it is of a whole epoch. */
  readonly step: number | null;
  readonly message: string;
  /** Of a collapse: the rule that fired, and the epoch that it goes back to. */
  readonly rule?: string;
  readonly back?: number;
}

/** Steps that a loss is compared with, and how many of them there must be. */
const WINDOW = 50;
const FEWEST = 20;
/** A spike lies so many standard deviations above twice the median of the window. */
const DEVIATIONS = 10;
/** Median absolute deviation to standard deviation, for normally distributed losses. */
const MAD_TO_SIGMA = 1.4826;

/**
 * Watches what is appended to `log`, and appends a health event, and tells `report`, where there is something to say.
 * `past` is what the log held before, for a run that goes on.
 */
export function watchHealth(
  log: EventLog,
  report: (line: string) => void,
  past: readonly LoggedEvent[] = [],
): EventLog {
  const monitor = new HealthMonitor();
  for (const event of past) monitor.observe(event);
  // Everything else is the log's own.
  return Object.assign(Object.create(log) as EventLog, {
    append(event: RunEvent) {
      log.append(event);
      const found = monitor.observe(event);
      if (found) log.append(found);
      const said = found ?? (event.type === "health" ? event : undefined);
      if (said) report(`Look at this: ${healthLine(said)}`);
    },
  });
}

/**
 * The rules. A loss spikes when it is above 2·median + 10·σ of the last 50 training losses of its phase (at least 20;
 * σ from their median absolute deviation), and is told once in 50 steps. Dead alphas are told when they change.
 */
export class HealthMonitor {
  #phase = "";
  #losses: number[] = [];
  #quiet = 0;
  #dead = "";

  /** Takes in an event of the run; returns what is to be told after it. */
  observe(event: RunEvent): HealthEvent | undefined {
    if (event.type === "search-step") return this.#step("search", event);
    if (event.type === "train-step") return this.#step(event.cell, event);
    if (event.type === "search-epoch") return this.#alphas(event.epoch, event.deadAlphas);
    return undefined;
  }

  #step(phase: string, { epoch, step, trainLoss }: { epoch: number; step: number; trainLoss: number }) {
    if (phase !== this.#phase) [this.#phase, this.#losses, this.#quiet] = [phase, [], 0];
    const limit = spikeLimit(this.#losses);
    const before = median(this.#losses);
    this.#losses.push(trainLoss);
    if (this.#losses.length > WINDOW) this.#losses.shift();
    this.#quiet = Math.max(0, this.#quiet - 1);
    if (trainLoss <= limit || this.#quiet > 0) return undefined;
    this.#quiet = WINDOW;
    const message = `the loss jumped to ${trainLoss.toPrecision(4)}, the median of the steps before is ${before.toPrecision(4)}`;
    return { type: "health", kind: "loss-spike", phase, epoch, step, message } as const;
  }

  #alphas(epoch: number, dead: readonly string[]): HealthEvent | undefined {
    const text = dead.join(", ");
    if (text === this.#dead) return undefined;
    this.#dead = text;
    if (text === "") return undefined;
    const some = dead.slice(0, 5).join(", ") + (dead.length > 5 ? ` and ${dead.length - 5} more` : "");
    const message = `dead alphas, their gradient was zero in every step of the epoch: ${some}`;
    return { type: "health", kind: "dead-alphas", phase: "search", epoch, step: null, message };
  }
}

/** What is logged of a divergence. */
export function divergenceEvent({ place, message }: Divergence): HealthEvent {
  const { phase, epoch, step } = place;
  return { type: "health", kind: "not-finite", phase, epoch, step, message };
}

/** A health event as people read it, epochs and steps counted from 1. */
export function healthLine({ phase, epoch, step, message }: HealthEvent): string {
  return `${phase}, epoch ${epoch + 1}${step === null ? "" : `, step ${step + 1}`}: ${message}`;
}

/** Infinite where there are too few losses to judge by. */
function spikeLimit(losses: readonly number[]): number {
  if (losses.length < FEWEST) return Number.POSITIVE_INFINITY;
  const middle = median(losses);
  const sigma = MAD_TO_SIGMA * median(losses.map((loss) => Math.abs(loss - middle)));
  return 2 * middle + DEVIATIONS * sigma;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  if (sorted.length === 0) return Number.NaN;
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}
