// What every job that computes does first and last: threads and device, the data, the run's folder, its lock and log.
import { existsSync } from "node:fs";
import { formatConfig } from "../config/format.ts";
import type { Config } from "../config/schema.ts";
import { countsText, type DataSummary, imbalanceWarning, summarize } from "../data/class-counts.ts";
import type { ImageDataset } from "../data/dataset.ts";
import { loadDataset } from "../data/datasets.ts";
import { type SealedSplit, testSplit } from "../data/splits.ts";
import { outOfMemory, UserError } from "../errors.ts";
import { removeHalfWritten, writeAtomic } from "../files.ts";
import type { Genotype } from "../genotype/genotype.ts";
import { Divergence } from "../nn/divergence.ts";
import { checkDevice, setThreads, torchVersion } from "../tensor/runtime.ts";
import type { ResumePoint } from "./checkpoint-files.ts";
import { type EventLog, type LoggedEvent, openEvents, type RunEvent, readEvents } from "./events.ts";
import { divergenceEvent, watchHealth } from "./health.ts";
import { Interruption, isTold } from "./interruption.ts";
import type { JobOptions, NewRunOptions, Reporter } from "./job.ts";
import { lockRun } from "./lock.ts";
import { type Intent, makePlan } from "./plan.ts";
import { requireMemory } from "./plan-advice.ts";
import { planText } from "./plan-text.ts";
import { checkConfig, checkData } from "./preflight.ts";
import { findResumePoint } from "./resume.ts";
import { createRun, preparePlace, type RunFolder } from "./run-folder.ts";
import {
  changedPlugins,
  fingerprintOf,
  pluginFingerprints,
  type RunCommand,
  type RunRecord,
  thisStart,
  writeRecord,
} from "./run-record.ts";

/** The data of a configuration, its test images apart and sealed. */
export interface SessionData {
  /** The data set without its test images: those come only from {@link SessionData.test}. */
  readonly dataset: Omit<ImageDataset, "test">;
  readonly test: SealedSplit;
  /** Its shape, and the images of each class. */
  readonly summary: DataSummary;
  /** SHA-256 of all of it, computed when it is asked for: only runs that can be resumed need it. */
  fingerprint(): string;
}

/** A run at work. */
export interface Session extends SessionData {
  readonly config: Config;
  readonly run: RunFolder;
  readonly record: RunRecord;
  readonly events: EventLog;
  readonly reporter: Reporter;
  readonly signal: AbortSignal | undefined;
  /** What the run had logged when it was resumed, as far as it counts; empty in a new run. */
  readonly past: readonly LoggedEvent[];
  /** The checkpoint from which it goes on; undefined where it goes on between two phases. */
  readonly resumed: ResumePoint | undefined;
}

/** Sets libtorch up as the configuration says; returns the threads that are used. */
export function prepareRuntime({ device, threads, deterministic }: Config): number {
  checkDevice(device);
  return setThreads(threads, { deterministic });
}

/** Loads the data, fetching them on the first use, and says how many images each class has. */
export async function loadData(
  config: Config,
  reporter: Reporter,
  signal?: AbortSignal,
): Promise<SessionData> {
  const report = (line: string) => reporter.log(line);
  const all = await loadDataset(config.data, { seed: config.seed, report, signal });
  const summary = summarize(all);
  if (config.data.name === "folder") report(`Images by class: ${countsText(summary)}`);
  const warning = imbalanceWarning(summary);
  if (warning !== undefined) report(warning);
  const { test, ...dataset } = all;
  return { dataset, test: testSplit({ test }), summary, fingerprint: () => fingerprintOf(all) };
}

/** Runs `work` in a fresh run folder. What stops it is logged as an event before it is thrown on. */
export async function inNewRun<T>(
  { command, genotype }: { readonly command: RunCommand; readonly genotype: Genotype | null },
  config: Config,
  options: NewRunOptions,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const { root, name, preset, reporter } = options;
  // Everything that can be wrong with the input is found before a folder is made.
  preparePlace(root, name);
  const { threads, ...data } = await prepare({ command, genotype }, config, options, undefined);
  const record = {
    command,
    genotype,
    data: data.fingerprint(),
    plugins: await pluginFingerprints(config),
    starts: [thisStart(threads, torchVersion())],
  };
  const run = createRun({ config, root, name, label: preset, record });
  const unlock = lockRun(run.path, (line) => reporter.log(line));
  try {
    reporter.log(`Run folder: ${run.path}`);
    return await atWork({ config, run, record, past: [], resumed: undefined, ...data }, options, work);
  } finally {
    unlock();
  }
}

/** Runs `work` in the folder of a run that was interrupted, from where it stood; the caller holds its lock. */
export async function inOldRun<T>(
  run: RunFolder,
  old: RunRecord,
  config: Config,
  options: JobOptions,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const { reporter } = options;
  const logged = existsSync(run.files.events) ? readEvents(run.files.events) : [];
  const { threads, ...data } = await prepare(old, config, options, run.path);
  const fingerprint = data.fingerprint();
  if (fingerprint !== old.data) {
    throw new UserError(
      `${run.path} was begun on other images: their checksum is ${fingerprint}, was ${old.data}. ` +
        "Restore the data, or start a new run.",
    );
  }
  for (const changed of await changedPlugins(old, config)) {
    reporter.log(
      `${changed} is not what it was when ${run.path} was begun: what follows may differ from a run without a break.`,
    );
  }
  const before = old.starts.at(-1)?.host.threads;
  if (before !== undefined && before !== threads && !config.deterministic) {
    reporter.log(
      `It ran on ${before} threads and goes on on ${threads}: the last bits of its numbers may differ.`,
    );
  }
  for (const folder of [run.path, run.files.checkpoints]) removeHalfWritten(folder);
  const record = { ...old, starts: [...old.starts, thisStart(threads, torchVersion())] };
  const point = findResumePoint(record, logged, { config, run, reporter });
  writeRecord(run, record);
  writeAtomic(run.files.config, formatConfig(config));
  return atWork({ config, run, record, ...point, ...data }, options, work);
}

/** The data and threads of a job, checked. `run` is the folder that it goes on in, undefined for a new run. */
async function prepare(
  { command, genotype }: Pick<RunRecord, "command" | "genotype">,
  config: Config,
  { reporter, signal }: JobOptions,
  run: string | undefined,
): Promise<SessionData & { readonly threads: number }> {
  const intent: Intent = {
    searches: command !== "train",
    ...(command !== "search" && { trains: genotype ?? "found" }),
  };
  checkConfig(config, intent);
  try {
    const threads = prepareRuntime(config);
    const data = await loadData(config, reporter, signal);
    if (await isTold(signal)) throw new Interruption(run, signal?.reason);
    checkData(config, data.dataset, intent);
    const subject = { config, data: data.dataset, intent };
    const plan = makePlan(subject);
    reporter.log(planText(plan));
    requireMemory(plan, subject);
    return { threads, ...data };
  } catch (error) {
    // Asked twice: a signal that ended the bridge's compiler as well reaches its listener some turns later.
    throw (await isTold(signal)) || (await isTold(signal)) ? new Interruption(run, signal?.reason) : error;
  }
}

/** Opens the log, cut to what counts, for the time of `work`. */
async function atWork<T>(
  begun: Omit<Session, "events" | "reporter" | "signal">,
  { reporter, signal, onEvent }: JobOptions,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const { run, config, record, past, summary } = begun;
  const log = openEvents(run.files.events, { onEvent });
  const events = watchHealth(log, (line) => reporter.log(line), past);
  try {
    events.cut(past.length);
    if (past.length === 0) events.append(runStart(record, config, summary));
    return await work({ ...begun, events, reporter, signal });
  } catch (error) {
    if (!(error instanceof Interruption)) logError(events, error);
    throw error;
  } finally {
    events.close();
  }
}

function runStart({ command, starts }: RunRecord, config: Config, data: DataSummary): RunEvent {
  const { time, ...start } = starts.at(-1)!;
  return { type: "run-start", command, config, data, ...start };
}

/** A disk too full for this event as well must not hide what went wrong first. */
function logError(events: EventLog, error: unknown): void {
  try {
    if (error instanceof Divergence) events.append(divergenceEvent(error));
    events.append({ type: "error", message: (outOfMemory(error) ?? (error as Error)).message });
  } catch {}
}
