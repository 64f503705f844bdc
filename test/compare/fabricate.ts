// Run folders without the computing: written by the code that writes those of real runs, with figures of the test's own.
import { resolveConfig } from "../../src/config/load.ts";
import type { DataSummary } from "../../src/data/class-counts.ts";
import { findGenotype } from "../../src/genotype/published.ts";
import { openEvents, type RunEvent, type SearchEpochEvent } from "../../src/run/events.ts";
import type { TrainOutcome } from "../../src/run/outcomes.ts";
import { createRun, saveReport } from "../../src/run/run-folder.ts";
import { type RunCommand, thisStart } from "../../src/run/run-record.ts";
import { costOf } from "../../src/search/costs.ts";

/** A run of the `quick` preset, but for what is said. */
export interface Fabricated {
  readonly command?: RunCommand;
  /** Of the `quick` preset unless told. */
  readonly preset?: string;
  readonly seed?: number;
  /** Further settings by dotted key. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** The cell that it finds or is given, by its published name; null: a random one is trained alone. */
  readonly cell?: string | null;
  readonly top1?: number;
  /** Accuracies of its random cells. */
  readonly random?: readonly number[];
  readonly seconds?: number;
  /** Peak of each epoch; undefined as in logs of earlier versions. */
  readonly peakMB?: readonly (number | undefined)[];
  readonly validAccuracy?: readonly number[];
  readonly threads?: number;
  /** How far it came: the whole way, or up to the end of … */
  readonly until?: "report" | "training" | "search" | "first epoch" | "start" | "folder";
  /** What stopped it. */
  readonly error?: string;
}

const IMAGES: Omit<DataSummary, "train"> = {
  name: "cifar10",
  classes: ["cat", "dog"],
  height: 32,
  width: 32,
  channels: 3,
  mean: [0.5, 0.5, 0.5],
  std: [0.2, 0.2, 0.2],
  test: [50, 50],
  imbalance: 1,
};
const STAGES = ["folder", "start", "first epoch", "search", "training", "report"] as const;

/** Writes the run's folder and returns its path. */
export function fabricate(root: string, name: string, what: Fabricated): string {
  const {
    command = "run",
    preset = "quick",
    seed = 1,
    settings = {},
    threads = 1,
    until = "report",
    error,
  } = what;
  const config = resolveConfig({ preset, flags: { seed, ...settings } });
  const given = command === "train" && what.cell !== null ? findGenotype(what.cell ?? "DARTS_V2") : null;
  const start = thisStart(threads, "1.13.0");
  const host = { ...start.host, cpu: "a processor" };
  const record = { command, genotype: given, data: "0".repeat(64), starts: [{ ...start, host }] };
  const run = createRun({ config, root, name, record });
  const reached = (stage: (typeof STAGES)[number]) => STAGES.indexOf(until) >= STAGES.indexOf(stage);
  if (!reached("start")) return run.path;
  const log = openEvents(run.files.events);
  const append = (...events: RunEvent[]) => {
    for (const event of events) log.append(event);
  };
  // Other seeds draw other images: so many of a class.
  const data = { ...IMAGES, train: [50 + seed, 50 - seed] };
  append({ type: "run-start", command, config, data, versions: start.versions, host });
  const { search, trained } = outcomesOf(what, config);
  const epochs = command === "train" ? [] : searchEpochs(what);
  append(...(reached("search") ? epochs : reached("first epoch") ? epochs.slice(0, 1) : []));
  if (command !== "train" && reached("search")) append({ type: "search-end", outcome: search });
  if (reached("training")) append(...trained.map((outcome) => ({ type: "train-end", outcome }) as const));
  if (error !== undefined) append({ type: "error", message: error });
  if (reached("report")) {
    const report = { run: run.path, ...(command !== "train" && { search }), trained };
    append({ type: "report", report });
    saveReport(run, report);
  }
  log.close();
  return run.path;
}

function outcomesOf(
  {
    command,
    cell = "DARTS_V2",
    top1 = 0.5,
    random = [],
    seconds = 60,
    validAccuracy = [0.3, 0.4],
  }: Fabricated,
  config: ReturnType<typeof resolveConfig>,
) {
  const genotype = findGenotype(cell ?? "DARTS_V1");
  const image = { height: 32, width: 32, channels: 3 };
  const dataset = { classes: IMAGES.classes, train: image } as unknown as Parameters<
    typeof costOf
  >[1]["dataset"];
  const train = (name: string, of: string, accuracy: number): TrainOutcome => {
    const measured = { loss: 1, top1: accuracy, top5: 1, images: 100 };
    const found = findGenotype(of);
    const costs = costOf(found, { config, dataset });
    return {
      cell: name,
      genotype: found,
      ...costs,
      last: measured,
      best: measured,
      bestEpoch: 0,
      seconds: 9,
    };
  };
  const cells = random.map((accuracy, i) => train(`random-${i + 1}`, "DARTS_V1", accuracy));
  const search = {
    genotype,
    selection: { select: "last", epoch: validAccuracy.length - 1, reason: "the last" },
    validAccuracy: validAccuracy.at(-1)!,
    epochs: validAccuracy.length,
    seconds,
  } as const;
  const found = command === "search" || cell === null ? [] : [train("found", cell, top1)];
  return { search, trained: [...found, ...cells] };
}

function searchEpochs({ peakMB = [], validAccuracy = [0.3, 0.4], cell }: Fabricated): SearchEpochEvent[] {
  const genotype = findGenotype(cell ?? "DARTS_V2");
  const both = { normal: 1, reduce: 1 };
  return validAccuracy.map((accuracy, epoch) => ({
    type: "search-epoch",
    epoch,
    trainLoss: 1,
    trainAccuracy: 0.5,
    validLoss: 1,
    validAccuracy: accuracy,
    learningRate: 0.1,
    alphas: { normal: [], reduce: [] },
    entropy: both,
    evenEntropy: both,
    skipCount: both,
    genotype,
    deadAlphas: [],
    seconds: 1,
    stepMs: 1,
    rssMB: 100 + epoch,
    ...(peakMB[epoch] !== undefined && { peakMB: peakMB[epoch] }),
    liveTensors: 1,
  }));
}
