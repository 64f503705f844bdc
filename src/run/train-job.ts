// Training of one cell as a job: what the loop logs of it, and at the very end the only look at the test images.
import { join } from "node:path";
import { imagesAtOnce } from "../data/batch-tensors.ts";
import type { View } from "../data/splits.ts";
import type { Genotype } from "../genotype/genotype.ts";
import { meansOf } from "../nn/totals.ts";
import { part } from "../optim/snapshot.ts";
import { checkDerived } from "../search/budget.ts";
import { costOf } from "../search/costs.ts";
import type { Network } from "../space/network.ts";
import { scope } from "../tensor/scope.ts";
import { type Evaluation, type EvaluationOptions, evaluation } from "../train/evaluate.ts";
import { Training } from "../train/training.ts";
import { loadCheckpoint, saveWeights } from "./checkpoint.ts";
import { percent } from "./figures.ts";
import { Interruption, isTold } from "./interruption.ts";
import { type EpochEnd, type LoopOutcome, runLoop, type Work } from "./loop.ts";
import type { TrainOutcome } from "./outcomes.ts";
import { drawRandomCell } from "./random-cell.ts";
import { saveGenotype } from "./run-folder.ts";
import type { Session } from "./session.ts";

/** What is trained: a cell, and the name of its files and events. */
export interface TrainTask {
  readonly cell: string;
  readonly genotype: Genotype;
  /** Of a random cell: how many were drawn until one kept the budget, where there is one. */
  readonly draws?: number;
  /** What is logged before its first step. */
  begin?(): void;
}

/** Trains a genotype from scratch and measures it. */
export async function runTraining(session: Session, task: TrainTask): Promise<TrainOutcome> {
  const { cell, genotype, draws } = task;
  for (const event of session.past)
    if (event.type === "train-end" && event.outcome.cell === cell) return event.outcome;
  const { config, dataset, run, events } = session;
  using training = new Training(config, genotype, dataset);
  const loop = await runLoop(session, trainWork(session, training, task));
  saveWeights(join(run.path, `${cell}.safetensors`), training.network.stateDict());
  const measured = await measure(session, training, cell, loop);
  const { bestEpoch, seconds } = loop;
  const costs = costOf(genotype, session);
  const budget = checkDerived(config, costs);
  const outcome = {
    cell,
    genotype,
    ...costs,
    ...measured,
    bestEpoch,
    seconds,
    ...(budget.length > 0 && { budget }),
    ...(draws !== undefined && { draws }),
  };
  events.append({ type: "train-end", outcome });
  return outcome;
}

/** Trains the `index`-th random cell of a run, from 1: drawn by the seed, apart from everything else. */
export async function trainRandom(session: Session, index: number): Promise<TrainOutcome> {
  const cell = `random-${index}`;
  const { genotype, draws } = drawRandomCell(session, index);
  await saveGenotype(session.run, genotype, `${cell}-`);
  const begin = () =>
    session.events.append({ type: "derive", cell, epoch: null, genotype, ...costOf(genotype, session) });
  return runTraining(session, { cell, genotype, begin, ...(draws !== undefined && { draws }) });
}

function trainWork({ config }: Session, training: Training, { cell, begin }: TrainTask): Work {
  const { epochs } = config.train;
  return {
    name: cell,
    title: `train ${cell}`,
    epochs,
    learner: training,
    runStep() {
      const { epoch, step, stepsPerEpoch: steps } = training;
      const trainLoss = training.runStep();
      const { learningRate } = training;
      return { type: "train-step", cell, epoch, step, steps, trainLoss, learningRate };
    },
    endEpoch: () => endEpoch(training, cell, epochs),
    owns: (event) => (event.type === "train-step" || event.type === "train-epoch") && event.cell === cell,
    score: ({ trainLoss }) => -trainLoss,
    begin,
  };
}

// biome-ignore lint/correctness/useYield: nothing is measured at the end of an epoch of training
function* endEpoch(training: Training, cell: string, epochs: number): Generator<void, EpochEnd> {
  const { epoch, learningRate, dropPathProbability: dropPath } = training;
  const { loss: trainLoss, accuracy: trainAccuracy } = meansOf(training.totals);
  training.endEpoch();
  return {
    event: { type: "train-epoch", cell, epoch, trainLoss, trainAccuracy, learningRate, dropPath },
    line: `epoch ${epoch + 1}/${epochs} · loss ${trainLoss.toFixed(3)} · training accuracy ${percent(trainAccuracy)}`,
  };
}

async function measure(
  session: Session,
  training: Training,
  cell: string,
  { best: bestPath, bestEpoch }: LoopOutcome,
): Promise<{ last: Evaluation; best: Evaluation }> {
  const { config, dataset, test, run, signal } = session;
  const { mean, std } = dataset;
  const view = test.open(reportOf(cell));
  const options = { mean, std, batchSize: imagesAtOnce(config.train), device: config.device };
  const once = () => evaluateUntilTold(training.network, view, options, { signal, run: run.path });
  const last = await once();
  if (bestEpoch === config.train.epochs - 1) return { last, best: last };
  scope(() => training.network.loadStateDict(part(loadCheckpoint(bestPath).tensors, "weights/")));
  return { last, best: await once() };
}

/** Measures `network` on `view`, unless the signal ends it between two batches by an {@link Interruption} of `run`. */
export async function evaluateUntilTold(
  network: Network,
  view: View,
  options: EvaluationOptions,
  { signal, run }: { readonly signal: AbortSignal | undefined; readonly run: string | undefined },
): Promise<Evaluation> {
  const batches = evaluation(network, view, options);
  for (;;) {
    const { done, value } = batches.next();
    if (done) return value;
    if (!(await isTold(signal))) continue;
    batches.return(undefined as never);
    throw new Interruption(run, signal?.reason);
  }
}

/** What the report calls the one who looked at the test images. */
export function reportOf(cell: string): string {
  return `final report of ${cell}`;
}
