// The search as a job: what the loop logs of it, and the genotype that it ends with.

import type { Config } from "../config/schema.ts";
import { writeAtomic } from "../files.ts";
import { countSkips, meanEntropy } from "../genotype/statistics.ts";
import { meansOf } from "../nn/totals.ts";
import { type BudgetCheck, budgetText, checkDerived } from "../search/budget.ts";
import { costOf } from "../search/costs.ts";
import { Search } from "../search/search.ts";
import { drawAlphas } from "./alphas-drawing.ts";
import { readEvents } from "./events.ts";
import { percent } from "./figures.ts";
import { CollapseGuard } from "./guard.ts";
import type { HealthEvent } from "./health.ts";
import { type EpochEnd, runLoop, type Work } from "./loop.ts";
import type { SearchOutcome } from "./outcomes.ts";
import { saveGenotype } from "./run-folder.ts";
import { selectEpoch } from "./select.ts";
import type { Session } from "./session.ts";

/** Searches a cell; the run folder gets events, checkpoints, the genotype and its drawings. */
export async function runSearch(session: Session): Promise<SearchOutcome> {
  for (const event of session.past) if (event.type === "search-end") return event.outcome;
  const { config, dataset, run, events } = session;
  using search = new Search(config, dataset);
  const { seconds } = await runLoop(session, searchWork(session, search));
  const { selection, event } = selectEpoch(config.search.select, readEvents(run.files.events));
  const { genotype, validAccuracy } = event;
  await saveGenotype(run, genotype);
  const alphas = drawAlphas(run);
  if (alphas) writeAtomic(run.files.alphasDrawing, alphas.svg);
  const costs = costOf(genotype, session);
  events.append({ type: "derive", cell: "found", epoch: selection.epoch, genotype, ...costs });
  const budget = checkDerived(config, costs);
  for (const check of budget)
    if (check.derived > check.limit) events.append(overBudget(check, selection.epoch));
  const outcome = {
    genotype,
    selection,
    validAccuracy,
    epochs: search.epoch,
    seconds,
    ...(budget.length > 0 && { budget }),
  };
  events.append({ type: "search-end", outcome });
  return outcome;
}

function overBudget(check: BudgetCheck, epoch: number): HealthEvent {
  const message =
    `the derived network is over its budget: ${budgetText(check)}. ` +
    "Search again with a larger budget.strength or more epochs, or raise the limit.";
  return { type: "health", kind: "budget", phase: "search", epoch, step: null, message };
}

function searchWork({ config, past }: Session, search: Search): Work {
  // Cells that are drawn, not learned, cannot collapse.
  const learned = search.method.alphas.size > 0;
  const guard = new CollapseGuard(learned ? config.guard : { ...config.guard, action: "off" });
  for (const event of past) if (event.type === "search-epoch") guard.observe(event);
  return {
    name: "search",
    title: "search",
    get epochs() {
      return search.epochs;
    },
    learner: search,
    runStep() {
      const { epoch, step } = search;
      const { trainLoss, archLoss } = search.runStep();
      const { learningRate, stepsPerEpoch: steps } = search;
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
    endEpoch: () => endEpoch(search, config, guard),
    owns: ({ type }) => type === "search-step" || type === "search-epoch",
    score: (epoch) => (epoch.type === "search-epoch" ? (epoch.validAccuracy ?? 0) : 0),
  };
}

function* endEpoch(
  search: Search,
  { guard: settings }: Config,
  guard: CollapseGuard,
): Generator<void, EpochEnd> {
  const validation = yield* search.validation();
  const { epoch, learningRate, method, shape } = search;
  const every = settings.eigenvalueEvery;
  const isWanted = method.wantsEigenvalue?.(epoch) || (every > 0 && epoch % every === 0);
  const eigenvalue = isWanted ? search.eigenvalue(settings.hessian) : undefined;
  yield;
  const { loss: trainLoss, accuracy: trainAccuracy } = meansOf(search.totals);
  const genotype = method.derive();
  const alphas = method.alphaRows();
  const edgeLogits = method.edgeLogits?.();
  const methodFigures = method.figures?.(epoch);
  search.endEpoch(validation, eigenvalue);
  const event = {
    type: "search-epoch",
    epoch,
    trainLoss,
    trainAccuracy,
    validLoss: validation?.loss ?? null,
    validAccuracy: validation?.accuracy ?? null,
    learningRate,
    alphas: { normal: withNulls(alphas.normal), reduce: withNulls(alphas.reduce) },
    ...(edgeLogits && { edgeLogits }),
    ...(methodFigures && { figures: methodFigures }),
    ...(eigenvalue !== undefined && { eigenvalue }),
    entropy: {
      normal: meanEntropy(alphas.normal),
      reduce: meanEntropy(alphas.reduce),
    },
    evenEntropy: {
      normal: evenEntropy(shape.candidates.normal),
      reduce: evenEntropy(shape.candidates.reduce),
    },
    // Of the cell that the method derives by its own rule.
    skipCount: { normal: countSkips(genotype.normal), reduce: countSkips(genotype.reduce) },
    genotype,
    deadAlphas: search.deadAlphas,
  } as const;
  const own = search.ended ?? search.wentBack;
  // A method's own rule speaks for the guard's of the same name.
  const fired = guard.observe(event).filter(({ rule }) => rule !== own?.rule);
  if (fired[0] && settings.action === "stop" && !search.ended) search.end(fired[0]);
  const told = own ? [own, ...fired] : fired;
  const figures = validation
    ? `validation accuracy ${percent(validation.accuracy)}`
    : "one-level: no validation";
  return {
    event,
    line:
      `epoch ${epoch + 1}/${search.epochs} · loss ${trainLoss.toFixed(3)} · ${figures} · ` +
      `skips in the normal cell ${countSkips(genotype.normal)}`,
    health: told.map((end) => guard.event(end, epoch)),
  };
}

/** JSON knows no infinity: null where an edge does not have the candidate. */
function withNulls(rows: readonly (readonly number[])[]): (number | null)[][] {
  return rows.map((row) => row.map((alpha) => (alpha === Number.NEGATIVE_INFINITY ? null : alpha)));
}

/** Mean entropy of edges whose candidates are all as probable, in nats. */
function evenEntropy(candidates: readonly (readonly number[])[]): number {
  const entropies = candidates.map(({ length }) => Math.log(Math.max(1, length)));
  return entropies.reduce((sum, value) => sum + value, 0) / Math.max(1, entropies.length);
}
