// The search as a job: what the loop logs of it, and the genotype that it ends with.
import { alphaStatistics, countSkips } from "../genotype/statistics.ts";
import { Search } from "../search/search.ts";
import type { Primitive } from "../space/primitives.ts";
import { costOf } from "./costs.ts";
import { type EpochEnd, runLoop, type Work } from "./loop.ts";
import type { SearchOutcome } from "./outcomes.ts";
import { saveGenotype } from "./run-folder.ts";
import type { Session } from "./session.ts";

/** Searches a cell; the run folder gets events, checkpoints, the genotype and its drawings. */
export async function runSearch(session: Session): Promise<SearchOutcome> {
  for (const event of session.past) if (event.type === "search-end") return event.outcome;
  const { config, dataset, run, events } = session;
  using search = new Search(config, dataset);
  const { seconds, lastEpoch } = await runLoop(session, searchWork(session, search));
  const genotype = search.method.derive();
  await saveGenotype(run, genotype);
  const costs = costOf(genotype, session);
  events.append({ type: "derive", cell: "found", epoch: search.epoch - 1, genotype, ...costs });
  const validAccuracy = lastEpoch?.type === "search-epoch" ? lastEpoch.validAccuracy : null;
  const outcome = { genotype, validAccuracy, epochs: search.epoch, seconds };
  events.append({ type: "search-end", outcome });
  return outcome;
}

function searchWork({ config }: Session, search: Search): Work {
  const { epochs } = config.search;
  return {
    name: "search",
    title: "search",
    epochs,
    stepsPerEpoch: search.stepsPerEpoch,
    get epoch() {
      return search.epoch;
    },
    get step() {
      return search.step;
    },
    get finished() {
      return search.finished;
    },
    figures: () => means(search),
    runStep() {
      const { epoch, step, stepsPerEpoch: steps } = search;
      const { trainLoss, archLoss } = search.runStep();
      const { learningRate } = search;
      return {
        type: "search-step",
        epoch,
        step,
        steps,
        trainLoss,
        validLoss: archLoss ?? null,
        learningRate,
      };
    },
    endEpoch: () => endEpoch(search, config.space.primitives, epochs),
    owns: ({ type }) => type === "search-step" || type === "search-epoch",
    score: (epoch) => (epoch.type === "search-epoch" ? (epoch.validAccuracy ?? 0) : 0),
    snapshot: () => search.snapshot(),
    restore: (snapshot) => search.restore(snapshot),
  };
}

function* endEpoch(
  search: Search,
  primitives: readonly Primitive[],
  epochs: number,
): Generator<void, EpochEnd> {
  const validation = yield* search.validation();
  const { epoch, learningRate } = search;
  const { loss: trainLoss, accuracy: trainAccuracy } = means(search);
  const genotype = search.method.derive();
  const alphas = search.method.alphaRows();
  const edgeLogits = search.method.edgeLogits?.();
  const methodFigures = search.method.figures?.(epoch);
  const normal = alphaStatistics(alphas.normal, primitives);
  const reduce = alphaStatistics(alphas.reduce, primitives);
  search.endEpoch(validation);
  const figures = validation
    ? `validation accuracy ${percent(validation.accuracy)}`
    : "one-level: no validation";
  return {
    event: {
      type: "search-epoch",
      epoch,
      trainLoss,
      trainAccuracy,
      validLoss: validation?.loss ?? null,
      validAccuracy: validation?.accuracy ?? null,
      learningRate,
      alphas,
      ...(edgeLogits && { edgeLogits }),
      ...(methodFigures && { figures: methodFigures }),
      entropy: { normal: normal.entropy, reduce: reduce.entropy },
      // Of the cell that the method derives by its own rule.
      skipCount: { normal: countSkips(genotype.normal), reduce: countSkips(genotype.reduce) },
      genotype,
      deadAlphas: search.deadAlphas,
    },
    line:
      `epoch ${epoch + 1}/${epochs} · loss ${trainLoss.toFixed(3)} · ${figures} · ` +
      `skips in the normal cell ${countSkips(genotype.normal)}`,
  };
}

function means({ totals }: Search): { loss: number; accuracy: number } {
  return { loss: totals.loss / totals.images, accuracy: totals.correct / totals.images };
}

/** 0.8412 → "84.12 %". */
export function percent(share: number): string {
  return `${(100 * share).toFixed(2)} %`;
}
