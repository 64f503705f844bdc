// The search as a job: steps with progress and events, a checkpoint and the genotype of the moment every epoch.
import { join } from "node:path";
import type { Genotype } from "../genotype/genotype.ts";
import { alphaStatistics } from "../genotype/statistics.ts";
import { Search } from "../search/search.ts";
import { liveTensors } from "../tensor/runtime.ts";
import { scope } from "../tensor/scope.ts";
import { saveCheckpoint } from "./checkpoint.ts";
import { costOf } from "./costs.ts";
import { saveGenotype } from "./run-folder.ts";
import { breathe, rssMB, type Session } from "./session.ts";

/** What a search ended with. */
export interface SearchOutcome {
  readonly genotype: Genotype;
  /** Validation accuracy of the supernet in its last epoch; null in a one-level search. */
  readonly validAccuracy: number | null;
  readonly epochs: number;
  readonly seconds: number;
}

/** Searches a cell; the run folder gets events, checkpoints, the genotype and its drawings. */
export async function runSearch(session: Session): Promise<SearchOutcome> {
  const { config, dataset, reporter, run, events } = session;
  const started = performance.now();
  using search = new Search(config, dataset);
  const total = config.search.epochs * search.stepsPerEpoch;
  const progress = reporter.progress("search", total);
  let best = -1;
  let validAccuracy: number | null = null;
  let over = false;
  while (!over) {
    const epochStarted = performance.now();
    while (search.step < search.stepsPerEpoch) {
      const stepStarted = performance.now();
      const { trainLoss, archLoss } = search.runStep();
      const { epoch, step, totals, learningRate, stepsPerEpoch } = search;
      events.append({
        type: "search-step",
        epoch,
        step: step - 1,
        steps: stepsPerEpoch,
        trainLoss,
        validLoss: archLoss ?? null,
        learningRate,
        ms: Math.round(performance.now() - stepStarted),
      });
      progress.update(epoch * stepsPerEpoch + step, {
        epoch: `${epoch + 1}/${config.search.epochs}`,
        loss: totals.loss / totals.images,
        accuracy: totals.correct / totals.images,
      });
      await breathe(session.signal);
    }
    const stepMs = Math.round((performance.now() - epochStarted) / search.stepsPerEpoch);
    const validation = search.validate();
    validAccuracy = validation?.accuracy ?? null;
    const { epoch, learningRate, totals } = search;
    const genotype = search.method.derive();
    const alphas = search.method.alphaRows();
    const normal = alphaStatistics(alphas.normal, config.space.primitives);
    const reduce = alphaStatistics(alphas.reduce, config.space.primitives);
    over = search.endEpoch(validation);
    const trainLoss = totals.loss / totals.images;
    events.append({
      type: "search-epoch",
      epoch,
      trainLoss,
      trainAccuracy: totals.correct / totals.images,
      validLoss: validation?.loss ?? null,
      validAccuracy,
      learningRate,
      alphas,
      entropy: { normal: normal.entropy, reduce: reduce.entropy },
      skipCount: { normal: normal.skips, reduce: reduce.skips },
      genotype,
      seconds: (performance.now() - epochStarted) / 1000,
      stepMs,
      rssMB: rssMB(),
      liveTensors: liveTensors(),
    });
    const figures = validation
      ? `validation accuracy ${percent(validation.accuracy)}`
      : "one-level: no validation";
    progress.line(
      `epoch ${epoch + 1}/${config.search.epochs} · loss ${trainLoss.toFixed(3)} · ${figures} · ` +
        `skips in the normal cell ${normal.skips}`,
    );
    save(session, search, "search-last");
    if ((validAccuracy ?? 0) > best) {
      best = validAccuracy ?? 0;
      save(session, search, "search-best");
    }
  }
  progress.stop();
  const genotype = search.method.derive();
  await saveGenotype(run, genotype);
  events.append({
    type: "derive",
    cell: "found",
    epoch: search.epoch - 1,
    genotype,
    ...costOf(genotype, session),
  });
  return { genotype, validAccuracy, epochs: search.epoch, seconds: (performance.now() - started) / 1000 };
}

function save({ run }: Session, search: Search, name: string): void {
  scope(() => saveCheckpoint(join(run.files.checkpoints, `${name}.safetensors`), search.snapshot()));
}

/** 0.8412 → "84.12 %". */
export function percent(share: number): string {
  return `${(100 * share).toFixed(2)} %`;
}
