// The loop that searches and trainings run in: it steps, logs, shows, saves, and can be told to stop between any two
// steps. Time is counted from what the log says of steps and epochs, so that it goes on over interruptions.
import { meansOf, type Totals } from "../nn/totals.ts";
import { liveTensors } from "../tensor/runtime.ts";
import { CheckpointFiles, type Savable } from "./checkpoint-files.ts";
import type {
  LoggedEvent,
  SearchEpochEvent,
  SearchStepEvent,
  TrainEpochEvent,
  TrainStepEvent,
} from "./events.ts";
import type { HealthEvent } from "./health.ts";
import { Interruption, isTold } from "./interruption.ts";
import type { Progress } from "./job.ts";
import { peakBytes } from "./memory.ts";
import { createPace, type Pace } from "./pace.ts";
import type { Session } from "./session.ts";

/** What the loop itself measures of a step and of an epoch. */
type StepMeasured = "ms";
type EpochMeasured = "seconds" | "stepMs" | "rssMB" | "peakMB" | "liveTensors";
type Without<Event, Fields extends PropertyKey> = Event extends unknown ? Omit<Event, Fields> : never;

/** A step as its work tells it. */
export type StepRecord = Without<SearchStepEvent | TrainStepEvent, StepMeasured>;
/** An epoch as its work tells it. */
export type EpochRecord = Without<SearchEpochEvent | TrainEpochEvent, EpochMeasured>;

/** What learns, step by step and epoch by epoch: a search or a training. */
export interface Learner extends Savable {
  /** Steps of the present epoch. */
  readonly stepsPerEpoch: number;
  /** Finished epochs, and finished steps of the present one. */
  readonly epoch: number;
  readonly step: number;
  readonly finished: boolean;
  /** Sums over the steps of the present epoch. */
  readonly totals: Totals;
}

/** A learner as a phase of a run: its names, and what is logged of it. */
export interface Work {
  readonly learner: Learner;
  /** Names its checkpoints: `search`, `found`, `random-1`, … */
  readonly name: string;
  /** Its heading in the progress display. */
  readonly title: string;
  readonly epochs: number;
  runStep(): StepRecord;
  /** Measures what an epoch ends with, piece by piece, and then closes it; left half way, it changes nothing. */
  endEpoch(): Generator<void, EpochEnd>;
  /** Whether a logged event is of this work. */
  owns(event: SearchStepEvent | TrainStepEvent | SearchEpochEvent | TrainEpochEvent): boolean;
  /** What the best epoch has the most of. */
  score(epoch: EpochRecord): number;
  /** What is logged before its first step. */
  begin?(): void;
}

/** What an epoch ended with. */
export interface EpochEnd {
  readonly event: EpochRecord;
  /** The line that people read. */
  readonly line: string;
  /** What is to be told after it. */
  readonly health?: readonly HealthEvent[];
}

/** How a loop ended. */
export interface LoopOutcome {
  readonly bestEpoch: number;
  /** Path of the checkpoint of that epoch. */
  readonly best: string;
  readonly seconds: number;
}

/**
 * Runs `work` to its end, from its newest checkpoint if the run has one. When the session's signal is aborted, the
 * step under way is finished and saved, and an {@link Interruption} thrown.
 */
export async function runLoop(session: Session, work: Work): Promise<LoopOutcome> {
  const loop = new Loop(session, work);
  try {
    return await loop.run();
  } finally {
    loop.progress.stop();
  }
}

class Loop {
  readonly progress: Progress;
  readonly #session: Session;
  readonly #work: Work;
  readonly #files: CheckpointFiles;
  readonly #pace: Pace;
  /** Steps of the whole in the progress bar, also when later epochs have fewer steps, or there come to be more. */
  readonly #barSteps: number;
  /** Milliseconds of the steps of the present epoch. */
  #stepsMs = 0;
  /** Seconds of the finished epochs. */
  #seconds = 0;
  #best = { score: Number.NEGATIVE_INFINITY, epoch: 0 };
  /** When the present epoch began, or would have begun had it run without a break. */
  #epochStarted: number;

  constructor(session: Session, work: Work) {
    this.#session = session;
    this.#work = work;
    this.#files = new CheckpointFiles(session, work.name);
    this.#resumeOrBegin();
    this.#epochStarted = performance.now() - this.#stepsMs;
    const { epochs } = work;
    const { epoch, step, stepsPerEpoch } = work.learner;
    this.#pace = createPace(session.reporter, work.title, { stepsPerEpoch, epochs });
    this.#barSteps = epochs * stepsPerEpoch;
    this.progress = session.reporter.progress(work.title, this.#barSteps, epoch * stepsPerEpoch + step);
  }

  #resumeOrBegin(): void {
    const { past, resumed, reporter } = this.#session;
    const work = this.#work;
    if (resumed?.name !== work.name) {
      work.begin?.();
      return;
    }
    this.#files.restore(work.learner, resumed);
    for (const event of past) this.#recall(event);
    reporter.log(
      `${work.title} goes on at epoch ${work.learner.epoch + 1}, after step ${work.learner.step}.`,
    );
  }

  #recall(event: LoggedEvent): void {
    if (event.type === "search-step" || event.type === "train-step") {
      if (this.#work.owns(event)) this.#stepsMs += event.ms;
    } else if (event.type === "search-epoch" || event.type === "train-epoch") {
      if (!this.#work.owns(event)) return;
      this.#stepsMs = 0;
      this.#seconds += event.seconds;
      this.#isBest(event);
    }
  }

  /** Whether `epoch` is the best so far and from now on the one to beat. */
  #isBest(epoch: EpochRecord): boolean {
    const score = this.#work.score(epoch);
    if (!(score > this.#best.score)) return false;
    this.#best = { score, epoch: epoch.epoch };
    return true;
  }

  async run(): Promise<LoopOutcome> {
    const { learner } = this.#work;
    while (!learner.finished) {
      while (learner.step < learner.stepsPerEpoch) {
        await this.#pause();
        this.#step();
      }
      await this.#endEpoch();
    }
    await this.#pause();
    return {
      bestEpoch: this.#best.epoch,
      best: this.#files.best,
      seconds: this.#seconds,
    };
  }

  #step(): void {
    const work = this.#work;
    const started = performance.now();
    const record = work.runStep();
    const { learner } = work;
    const milliseconds = performance.now() - started;
    const ms = Math.round(milliseconds);
    this.#pace.step(milliseconds);
    this.#stepsMs += ms;
    this.#session.events.append({ ...record, ms });
    const epochs = learner.epoch + learner.step / learner.stepsPerEpoch;
    this.progress.update(Math.round((epochs / work.epochs) * this.#barSteps), {
      epoch: `${learner.epoch + 1}/${work.epochs}`,
      ...meansOf(learner.totals),
    });
  }

  async #endEpoch(): Promise<void> {
    const end = this.#work.endEpoch();
    for (;;) {
      if (await isTold(this.#session.signal)) {
        end.return(undefined as never);
        this.#stop();
      }
      const { done, value } = end.next();
      if (done) return this.#closeEpoch(value);
    }
  }

  #closeEpoch({ event, line, health = [] }: EpochEnd): void {
    const now = performance.now();
    const seconds = (now - this.#epochStarted) / 1000;
    this.#session.events.append({
      ...event,
      seconds,
      stepMs: Math.round(this.#stepsMs / this.#work.learner.stepsPerEpoch),
      rssMB: Math.round(process.memoryUsage().rss / 2 ** 20),
      peakMB: Math.round(peakBytes() / 2 ** 20),
      liveTensors: liveTensors(),
    });
    for (const found of health) this.#session.events.append(found);
    this.progress.line(line);
    this.#epochStarted = now;
    this.#stepsMs = 0;
    this.#seconds += seconds;
    this.#files.save(this.#work.learner, { isBest: this.#isBest(event) });
  }

  /** Between two steps: stops when told, saves when it is time. */
  async #pause(): Promise<void> {
    if (await isTold(this.#session.signal)) this.#stop();
    if (this.#work.learner.step > 0 && this.#files.due) this.#files.save(this.#work.learner);
  }

  #stop(): never {
    this.#files.save(this.#work.learner);
    const { run, signal } = this.#session;
    throw new Interruption(run.path, signal?.reason);
  }
}
