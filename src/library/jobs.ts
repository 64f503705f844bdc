// The jobs of the command line as functions: the same code, silent unless told otherwise, with typed results.
import { resolve } from "node:path";
import { checkSettings, type Settings } from "../config/check.ts";
import { completeSettings } from "../config/load.ts";
import type { Config, ConfigInput } from "../config/schema.ts";
import type { Genotype } from "../genotype/genotype.ts";
import { formatGenotype, parseGenotype } from "../genotype/parse.ts";
import { loadConfig } from "../plugin/config.ts";
import { loadPlugins } from "../plugin/load.ts";
import type { LoggedEvent } from "../run/events.ts";
import type { Reporter } from "../run/job.ts";
import {
  deriveCommand,
  resumeCommand,
  runCommand,
  searchCommand,
  testCommand,
  trainCommand,
} from "../run/jobs.ts";
import type { SearchOutcome } from "../run/outcomes.ts";
import type { RunReport } from "../run/report.ts";
import { openRun, runConfigFile } from "../run/run-folder.ts";
import type { Evaluation } from "../train/evaluate.ts";

/** Options of a job that makes a run folder. */
export interface JobOptions {
  /** Folder that holds the runs (default: `runs`). */
  readonly root?: string;
  /** Name of the run's folder (default: date, time and method). */
  readonly name?: string;
  /** Ends the job after the present step, saved, by throwing an {@link Interruption}; {@link resume} goes on with it. */
  readonly signal?: AbortSignal;
  /** Hears of each event as the run's log takes it: steps, epochs, derived cells, the report. */
  readonly onEvent?: (event: LoggedEvent) => void;
  /** Takes the lines and the progress that the command line shows (default: nobody). */
  readonly reporter?: Reporter;
}

/** What a search ended with, and where it lies. */
export interface SearchReport extends RunReport {
  readonly search: SearchOutcome;
}

/**
 * Searches a cell, as `darts search` does. `config` holds the settings that differ from the defaults, which are the
 * paper's; `resolveConfig({ preset: "quick" })` gives those of a preset. Throws a UserError for what the user can mend.
 */
export async function search(config: ConfigInput, options: JobOptions = {}): Promise<SearchReport> {
  const { json } = await searchCommand(await completeConfig(config), newRun(options));
  return json as unknown as SearchReport;
}

/** The whole job, as `darts run` does it: search, derive, train the found cell and random ones, report. */
export async function run(config: ConfigInput, options: JobOptions = {}): Promise<SearchReport> {
  const { json } = await runCommand(await completeConfig(config), newRun(options));
  return json as unknown as SearchReport;
}

/**
 * Trains a cell from scratch and measures it on the test images, as `darts train` does.
 * @param cell a genotype, or what the command line takes: a published name, a file, a run's folder, or `random`
 */
export async function train(
  config: ConfigInput,
  cell: Genotype | string,
  options: JobOptions = {},
): Promise<RunReport> {
  const named = typeof cell === "string" ? cell : formatGenotype(cell);
  const complete = await completeConfig(config);
  const { json } = await trainCommand(complete, { ...newRun(options), cell: named });
  return json as unknown as RunReport;
}

/**
 * Goes on with an interrupted run, search or training to the same bytes as had it never been interrupted, as
 * `--resume` does; one that has finished gives its report again.
 */
export async function resume(
  path: string,
  { signal, onEvent, reporter = SILENT }: Pick<JobOptions, "signal" | "onEvent" | "reporter"> = {},
): Promise<RunReport> {
  const { json } = await resumeCommand(undefined, {}, { run: path, signal, onEvent, reporter });
  return json as unknown as RunReport;
}

/** Which trained network of a run is measured, and on what. */
export interface TestOptions {
  /** `found` (the default), `random-1`, … */
  readonly cell?: string;
  /** Its state of the last epoch (the default), or of that with the lowest training loss. */
  readonly checkpoint?: "best" | "last";
  /** A safetensors file to take the weights from instead. */
  readonly weights?: string;
  /** Folder of other images than the run's own, of the same size and classes. */
  readonly dataPath?: string;
  readonly reporter?: Reporter;
}

/** Measures a trained network of a run on the test images, as `darts test` does. */
export async function test(
  path: string,
  { cell = "found", checkpoint = "last", weights, dataPath, reporter = SILENT }: TestOptions = {},
): Promise<Evaluation> {
  const flags = dataPath === undefined ? {} : { "data.path": dataPath };
  const config = await loadConfig({ file: runConfigFile(path), flags });
  const { json } = await testCommand(config, { run: path, cell, checkpoint, weights, reporter });
  return json as unknown as Evaluation;
}

/** The genotype of a search's last epoch, or of `epoch`, counted from 0, as `darts derive` does. */
export async function derive(path: string, { epoch }: { epoch?: number } = {}): Promise<Genotype> {
  await loadConfig({ file: runConfigFile(path) });
  const { json } = await deriveCommand({ run: path, epoch, reporter: SILENT });
  return parseGenotype(json["genotype"] as string);
}

/**
 * The whole, checked configuration of the settings given: plugins loaded, defaults filled in. Throws a UserError that
 * names the key, what was got and what was expected.
 */
export async function completeConfig(settings: ConfigInput): Promise<Config> {
  const plugin = await loadPlugins((settings.plugin ?? []).map((file) => resolve(file)));
  const locate = () => "config";
  checkSettings(settings as Settings, locate);
  return { ...completeSettings(settings as Settings, locate), plugin };
}

/** The configuration that a run was started with; its plugins are loaded. */
export async function configOf(path: string): Promise<Config> {
  await loadConfig({ file: runConfigFile(path) });
  return openRun(path).config;
}

/** Says nothing. */
const SILENT: Reporter = { log() {}, progress: () => ({ update() {}, line() {}, stop() {} }) };

function newRun({ root = "runs", name, signal, onEvent, reporter = SILENT }: JobOptions) {
  return { root, name, preset: undefined, signal, onEvent, reporter };
}
