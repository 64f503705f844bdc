// One run of a comparison, read off its folder: what it searched, found and trained, as far as it has come.
import { existsSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import type { Config } from "../config/schema.ts";
import type { DataSummary } from "../data/class-counts.ts";
import type { Genotype } from "../genotype/genotype.ts";
import { PUBLISHED_GENOTYPES } from "../genotype/published.ts";
import { countSkips } from "../genotype/statistics.ts";
import { type LoggedEvent, readEvents } from "../run/events.ts";
import type { SearchOutcome, TrainOutcome } from "../run/outcomes.ts";
import type { RunReport } from "../run/report.ts";
import type { RunFolder } from "../run/run-folder.ts";
import { readRecord } from "../run/run-record.ts";

/** What a trained cell came to. */
export interface TrainedCell {
  readonly cell: string;
  readonly params: number;
  readonly macs: number;
  /** On the test images after the last epoch, 0…1. */
  readonly top1: number;
}

/** What a search cost. */
export interface SearchCost {
  readonly seconds: number;
  readonly peakMB: number;
  /** False where the log tells only what was held at the ends of epochs. */
  readonly isPeak: boolean;
}

/** One run; what it has not come to is null. */
export interface RunRow {
  /** Path of its folder. */
  readonly run: string;
  /** Its search method, or of a run that only trains: `cell NAME`, `cell`, or `random cell`. */
  readonly method: string;
  readonly seed: number;
  readonly finished: boolean;
  /** `finished`, or how far it has come. */
  readonly state: string;
  /** The derived cell, or the one that it was given. */
  readonly genotype: Genotype | null;
  /** Skip connections in its normal cell. */
  readonly skips: number | null;
  readonly params: number | null;
  readonly macs: number | null;
  readonly search: SearchCost | null;
  /** Best validation accuracy of the supernet, 0…1. */
  readonly validAccuracy: number | null;
  /** Of the network trained from scratch, on the test images, 0…1. */
  readonly top1: number | null;
  /** The random cells that it has trained. */
  readonly random: readonly TrainedCell[];
}

/** A row, and what it is grouped by. */
export interface ComparedRun {
  readonly row: RunRow;
  readonly config: Config;
  /** Whether it searches. */
  readonly searches: boolean;
  /** What its images are, as far as runs of other seeds can share it; null before its start was logged. */
  readonly data: Readonly<Record<string, unknown>> | null;
  /** Processors and threads that it ran on. */
  readonly hosts: readonly string[];
}

/** Reads a run, finished or not. Throws a {@link UserError} where a file of it is damaged. */
export function readRun(folder: RunFolder): ComparedRun {
  const { config, files } = folder;
  const events = existsSync(files.events) ? readEvents(files.events) : [];
  const start = events.find((event) => event.type === "run-start");
  const record = existsSync(files.record) ? readRecord(folder) : undefined;
  const command = record?.command ?? start?.command ?? "run";
  const given = record?.genotype ?? null;
  const { search, trained } = outcomesIn(events);
  const own = command === "train" ? trained[0] : trained.find(({ cell }) => cell === "found");
  const derived = events.findLast((event) => event.type === "derive" && event.cell === "found");
  const counted = own ?? (derived?.type === "derive" ? derived : undefined);
  const genotype = search?.genotype ?? own?.genotype ?? given;
  const finished = events.at(-1)?.type === "report";
  return {
    config,
    searches: command !== "train",
    data: start?.data ? identityOf(config, start.data, record?.data) : null,
    hosts: (record?.starts ?? (start ? [start] : [])).map(
      ({ host }) => `${host.cpu}, ${host.threads} ${host.threads === 1 ? "thread" : "threads"}`,
    ),
    row: {
      run: folder.path,
      method: command === "train" ? nameOf(given) : config.search.method,
      seed: config.seed,
      finished,
      state: finished ? "finished" : positionIn(events, config),
      genotype,
      skips: genotype && countSkips(genotype.normal),
      params: counted?.params ?? null,
      macs: counted?.macs ?? null,
      search: search ? costIn(events, search) : null,
      validAccuracy: search ? bestValidation(events) : null,
      top1: own?.last.top1 ?? null,
      random: trained
        .filter(({ cell }) => cell.startsWith("random-"))
        .map(({ cell, params, macs, last }) => ({ cell, params, macs, top1: last.top1 })),
    },
  };
}

/** The report has all; before it there is what has ended. */
function outcomesIn(events: readonly LoggedEvent[]): {
  search: SearchOutcome | undefined;
  trained: readonly TrainOutcome[];
} {
  const last = events.at(-1);
  if (last?.type === "report") {
    const { search, trained } = last.report as unknown as RunReport;
    return { search, trained };
  }
  const ended = events.find((event) => event.type === "search-end");
  return {
    search: ended?.outcome,
    trained: events.flatMap((event) => (event.type === "train-end" ? [event.outcome] : [])),
  };
}

/** Images that the seed draws differ from run to run, and so does their checksum: the whole's stands only for all of them. */
function identityOf(
  { data: { trainImages, testImages } }: Config,
  { name, classes, height, width, channels, train, test }: DataSummary,
  checksum: string | undefined,
): Readonly<Record<string, unknown>> {
  const count = (images: readonly number[]) => images.reduce((sum, number) => sum + number, 0);
  return {
    name,
    classes,
    size: [height, width, channels],
    images: [count(train), count(test)],
    ...(trainImages === null && testImages === null && { checksum }),
  };
}

function nameOf(given: Genotype | null): string {
  if (given === null) return "random cell";
  const published = PUBLISHED_GENOTYPES.find(({ genotype }) => isDeepStrictEqual(genotype, given));
  return published ? `cell ${published.name}` : "cell";
}

function positionIn(events: readonly LoggedEvent[], { search, train }: Config): string {
  const last = events.at(-1);
  if (last?.type === "error") return `stopped: ${last.message}`;
  for (const event of events.toReversed()) {
    if (event.type === "search-end") return "after the search";
    if (event.type === "train-end") return `after training ${event.outcome.cell}`;
    if (event.type === "search-step" || event.type === "search-epoch")
      return `in the search, epoch ${event.epoch + 1} of ${search.epochs}`;
    if (event.type === "train-step" || event.type === "train-epoch")
      return `training ${event.cell}, epoch ${event.epoch + 1} of ${train.epochs}`;
  }
  return "nothing done yet";
}

function costIn(events: readonly LoggedEvent[], { seconds }: SearchOutcome): SearchCost {
  const epochs = events.filter((event) => event.type === "search-epoch");
  return {
    seconds,
    peakMB: Math.max(...epochs.map(({ peakMB, rssMB }) => peakMB ?? rssMB)),
    isPeak: epochs.every(({ peakMB }) => peakMB !== undefined),
  };
}

function bestValidation(events: readonly LoggedEvent[]): number | null {
  const found = events.flatMap((event) =>
    event.type === "search-epoch" && event.validAccuracy !== null ? [event.validAccuracy] : [],
  );
  return found.length > 0 ? Math.max(...found) : null;
}
