// Training of one cell as a job: steps with progress and events, checkpoints (last and best), and at the very end
// the only look at the test images.
import { join } from "node:path";
import type { Genotype } from "../genotype/genotype.ts";
import { randomGenotype } from "../genotype/random.ts";
import { part } from "../optim/snapshot.ts";
import { createGenerator } from "../random/generator.ts";
import { liveTensors } from "../tensor/runtime.ts";
import { scope } from "../tensor/scope.ts";
import { type Evaluation, evaluate } from "../train/evaluate.ts";
import { Training } from "../train/training.ts";
import { loadCheckpoint, saveCheckpoint, saveWeights } from "./checkpoint.ts";
import { costOf } from "./costs.ts";
import { percent } from "./search-job.ts";
import { breathe, rssMB, type Session } from "./session.ts";

/** A cell and what its training came to. */
export interface TrainOutcome {
  /** `found`, or `random-1` and so on. */
  readonly cell: string;
  readonly genotype: Genotype;
  readonly params: number;
  readonly macs: number;
  /** Measured on the test images after the last epoch. */
  readonly last: Evaluation;
  /** The same of the epoch with the lowest training loss: the test images choose nothing. */
  readonly best: Evaluation;
  readonly bestEpoch: number;
  readonly seconds: number;
}

/** Trains `genotype` from scratch; `cell` names its files and events. */
export async function runTraining(session: Session, genotype: Genotype, cell: string): Promise<TrainOutcome> {
  const { config, dataset, reporter, run, events, test } = session;
  const { epochs, batchSize } = config.train;
  const started = performance.now();
  using training = new Training(config, genotype, dataset);
  const progress = reporter.progress(`train ${cell}`, epochs * training.stepsPerEpoch);
  const file = (name: string) => join(run.files.checkpoints, `${cell}-${name}.safetensors`);
  let bestLoss = Number.POSITIVE_INFINITY;
  let bestEpoch = 0;
  while (!training.finished) {
    const epochStarted = performance.now();
    while (training.step < training.stepsPerEpoch) {
      const stepStarted = performance.now();
      const trainLoss = training.runStep();
      const { epoch, step, totals, learningRate, stepsPerEpoch } = training;
      const ms = Math.round(performance.now() - stepStarted);
      events.append({
        type: "train-step",
        cell,
        epoch,
        step: step - 1,
        steps: stepsPerEpoch,
        trainLoss,
        learningRate,
        ms,
      });
      progress.update(epoch * stepsPerEpoch + step, {
        epoch: `${epoch + 1}/${epochs}`,
        loss: totals.loss / totals.images,
        accuracy: totals.correct / totals.images,
      });
      await breathe(session.signal);
    }
    const { epoch, totals, learningRate, dropPathProbability } = training;
    const seconds = (performance.now() - epochStarted) / 1000;
    const trainLoss = totals.loss / totals.images;
    const trainAccuracy = totals.correct / totals.images;
    training.endEpoch();
    events.append({
      type: "train-epoch",
      cell,
      epoch,
      trainLoss,
      trainAccuracy,
      learningRate,
      dropPath: dropPathProbability,
      seconds,
      stepMs: Math.round((1000 * seconds) / training.stepsPerEpoch),
      rssMB: rssMB(),
      liveTensors: liveTensors(),
    });
    progress.line(
      `epoch ${epoch + 1}/${epochs} · loss ${trainLoss.toFixed(3)} · training accuracy ${percent(trainAccuracy)}`,
    );
    scope(() => saveCheckpoint(file("last"), training.snapshot()));
    if (trainLoss < bestLoss) {
      bestLoss = trainLoss;
      bestEpoch = epoch;
      scope(() => saveCheckpoint(file("best"), training.snapshot()));
    }
  }
  progress.stop();
  const seconds = (performance.now() - started) / 1000;
  saveWeights(join(run.path, `${cell}.safetensors`), training.network.stateDict());
  const view = test.open(`final report of ${cell}`);
  const { mean, std } = dataset;
  const measure = () => evaluate(training.network, view, { mean, std, batchSize, device: config.device });
  const last = measure();
  const best = bestEpoch === epochs - 1 ? last : withBest(training, file("best"), measure);
  return { cell, genotype, ...costOf(genotype, session), last, best, bestEpoch, seconds };
}

/** The `index`-th random cell of a run, from 1: drawn by the seed, apart from everything else. */
export function randomCell({ config }: Pick<Session, "config">, index: number): Genotype {
  const { nodes, primitives } = config.space;
  return randomGenotype(createGenerator(config.seed, `random-cell-${index}`), { nodes, primitives });
}

function withBest(training: Training, path: string, measure: () => Evaluation): Evaluation {
  return scope(() => {
    training.network.loadStateDict(part(loadCheckpoint(path).tensors, "weights/"));
    return measure();
  });
}
