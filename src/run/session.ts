// What every job that computes does first and last: threads and device, the data, the run's folder and log.
import { cpus, totalmem } from "node:os";
import type { Config } from "../config/schema.ts";
import { countsText, type DataSummary, imbalanceWarning, summarize } from "../data/class-counts.ts";
import type { ImageDataset } from "../data/dataset.ts";
import { loadDataset } from "../data/datasets.ts";
import { type SealedSplit, testSplit } from "../data/splits.ts";
import { checkDevice, setThreads, torchVersion } from "../tensor/runtime.ts";
import { type EventLog, openEvents } from "./events.ts";
import type { NewRunOptions, Reporter } from "./job.ts";
import { checkConfig, checkData } from "./preflight.ts";
import { createRun, type RunFolder } from "./run-folder.ts";

/** The data of a configuration, its test images apart and sealed. */
export interface SessionData {
  /** The data set without its test images: those come only from {@link SessionData.test}. */
  readonly dataset: Omit<ImageDataset, "test">;
  readonly test: SealedSplit;
  readonly summary: DataSummary;
}

/** A run at work. */
export interface Session extends SessionData {
  readonly config: Config;
  readonly run: RunFolder;
  readonly events: EventLog;
  readonly reporter: Reporter;
  readonly signal: AbortSignal | undefined;
}

/** Sets libtorch up as the configuration says; returns the threads it uses. */
export function prepareRuntime(config: Config): number {
  checkDevice(config.device);
  return setThreads(config.threads);
}

/** Loads the data, fetching them on the first use, and says how many images each class has. */
export async function loadData(config: Config, reporter: Reporter): Promise<SessionData> {
  const report = (line: string) => reporter.log(line);
  const loaded = await loadDataset(config.data, { seed: config.seed, report });
  const summary = summarize(loaded);
  if (config.data.name === "folder") report(`Images by class: ${countsText(summary)}`);
  const warning = imbalanceWarning(summary);
  if (warning !== undefined) report(warning);
  const { test, ...dataset } = loaded;
  return { dataset, test: testSplit({ test }), summary };
}

/** Runs `work` in a fresh run folder. What stops it is logged as an event before it is thrown on. */
export async function inNewRun<T>(
  command: "run" | "search" | "train",
  config: Config,
  { root, name, preset, reporter, signal, onEvent }: NewRunOptions,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  // Everything that can be wrong with the input is found before a folder is made.
  const plan = { searches: command !== "train", trains: command !== "search" };
  checkConfig(config, plan);
  const threads = prepareRuntime(config);
  const data = await loadData(config, reporter);
  checkData(config, data.dataset, plan);
  const run = createRun({ config, root, name, label: preset });
  reporter.log(`Run folder: ${run.path}`);
  const events = openEvents(run.files.events, onEvent);
  try {
    events.append({
      type: "run-start",
      command,
      config,
      data: data.summary,
      versions: { node: process.version, libtorch: torchVersion() },
      host: {
        platform: `${process.platform}-${process.arch}`,
        cpu: cpus()[0]?.model ?? "unknown",
        cores: cpus().length,
        memoryMB: Math.round(totalmem() / 2 ** 20),
        threads,
      },
    });
    return await work({ config, run, events, reporter, signal, ...data });
  } catch (error) {
    logError(events, error);
    throw error;
  } finally {
    events.close();
  }
}

/** A disk too full for this event as well must not hide what went wrong first. */
function logError(events: EventLog, error: unknown): void {
  try {
    events.append({ type: "error", message: (error as Error).message });
  } catch {}
}

/** Lets timers, signals and the progress display have their turn between two steps; throws when told to stop. */
export async function breathe(signal: AbortSignal | undefined): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
  signal?.throwIfAborted();
}

/** Memory of the process in MB. */
export function rssMB(): number {
  return Math.round(process.memoryUsage().rss / 2 ** 20);
}
