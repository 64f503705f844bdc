// A run is a folder, and the folder is the truth: everything else can be rebuilt from it.
// Nothing here deletes: a folder that holds something is refused, and the remedy is another name or --resume.
import { accessSync, constants, existsSync, mkdirSync, readdirSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { formatConfig } from "../config/format.ts";
import { resolveConfig } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { UserError } from "../errors.ts";
import { isFolder, makeFolder, readJson, withPath, writeAtomic } from "../files.ts";
import { cellsOf, drawCellSvg } from "../genotype/draw.ts";
import type { Genotype } from "../genotype/genotype.ts";
import { formatGenotype, formatJson } from "../genotype/parse.ts";
import { readGenotypeFile } from "./genotype-source.ts";
import { type RunRecord, writeRecord } from "./run-record.ts";

/** What lies where in a run's folder. */
export const RUN_FILES = {
  config: "config.yaml",
  record: "run.json",
  events: "events.jsonl",
  checkpoints: "checkpoints",
  genotype: "genotype.json",
  genotypePython: "genotype.txt",
  normalDrawing: "normal.svg",
  reduceDrawing: "reduce.svg",
  alphasDrawing: "alphas.svg",
  report: "report.json",
} as const;

/** A run's folder: its place, its configuration and the full paths of its files. */
export interface RunFolder {
  readonly name: string;
  readonly path: string;
  readonly config: Config;
  readonly files: Readonly<Record<keyof typeof RUN_FILES, string>>;
}

/** How a new run's folder is named and where it lies. */
export interface CreateRunOptions {
  readonly config: Config;
  /** Folder that holds the runs. */
  readonly root?: string;
  /** Name of the folder; without one it is `<date>-<time>-<label>`. */
  readonly name?: string | undefined;
  /** Preset or method, for the name that is made up. */
  readonly label?: string | undefined;
  /** What the run is, for whoever resumes it. */
  readonly record?: RunRecord;
}

/**
 * Makes the folder that holds the runs, and throws a {@link UserError} when that is impossible, or when `name` is no
 * name or is taken: known before the data are loaded.
 */
export function preparePlace(root: string, name: string | undefined): void {
  if (name !== undefined) checkName(name);
  makeFolder(root);
  withPath("make a run's folder in", root, () => accessSync(root, constants.W_OK));
  if (name !== undefined) refuseTaken(join(root, name));
}

/** Makes a fresh run folder with its config.yaml; throws a {@link UserError} when the name is taken. */
export function createRun({ config, root = "runs", name, label, record }: CreateRunOptions): RunFolder {
  if (name !== undefined) checkName(name);
  makeFolder(root);
  const path = name === undefined ? claimDated(root, label ?? config.search.method) : claim(join(root, name));
  const run = describe(path, config);
  makeFolder(run.files.checkpoints);
  if (record) writeRecord(run, record);
  // Last: a folder with settings is a run, and whole; without, it is taken again.
  writeAtomic(run.files.config, formatConfig(config));
  return run;
}

/**
 * Opens an existing run's folder, whose plugins are loaded already (see loadConfig); throws a {@link UserError} when
 * it is none or its config is missing or wrong.
 */
export function openRun(path: string): RunFolder {
  return describe(path, resolveConfig({ file: runConfigFile(path) }));
}

/** The config.yaml of an existing run; throws a {@link UserError} when `path` is no run's folder. */
export function runConfigFile(path: string): string {
  if (!isFolder(path)) throw new UserError(`There is no run folder ${path}; expected the folder of a run.`);
  const config = join(path, RUN_FILES.config);
  if (existsSync(config)) return config;
  throw new UserError(`${path} is not the folder of a run: it has no ${RUN_FILES.config}.`);
}

/** Whether `path` is the folder of a run. */
export function isRunFolder(path: string): boolean {
  return isFolder(path) && existsSync(join(path, RUN_FILES.config));
}

/**
 * Writes a genotype as JSON and as the text of its space, and draws its cells. `prefix` keeps another cell of the same
 * run apart: `random-1-` gives random-1-genotype.json and so on.
 */
export async function saveGenotype(run: RunFolder, genotype: Genotype, prefix = ""): Promise<void> {
  const file = (name: string) => join(run.path, prefix + name);
  writeAtomic(file(RUN_FILES.genotype), `${formatJson(genotype)}\n`);
  writeAtomic(file(RUN_FILES.genotypePython), `${formatGenotype(genotype)}\n`);
  for (const { kind, name, edges, concat, inputs } of cellsOf(genotype))
    writeAtomic(file(RUN_FILES[`${kind}Drawing`]), await drawCellSvg(edges, concat, name, inputs));
}

/** The genotype that a run derived; a {@link UserError} says so when it has not derived one yet. */
export function readGenotype(run: RunFolder, prefix = ""): Genotype {
  const file = join(run.path, prefix + RUN_FILES.genotype);
  if (!existsSync(file)) {
    throw new UserError(
      `The run ${run.path} has no ${basename(file)} yet; derive its cell: darts derive ${run.path}`,
    );
  }
  return readGenotypeFile(file);
}

/** Writes the final report. */
export function saveReport(run: RunFolder, report: Readonly<Record<string, unknown>>): void {
  writeAtomic(run.files.report, `${JSON.stringify(report, null, 2)}\n`);
}

/** The final report; a {@link UserError} says so when the run has not got that far. */
export function readReport(run: RunFolder): Record<string, unknown> {
  if (!existsSync(run.files.report)) {
    throw new UserError(`The run ${run.path} has no ${RUN_FILES.report}: it has not finished.`);
  }
  return readJson(run.files.report, "a report") as Record<string, unknown>;
}

function describe(path: string, config: Config): RunFolder {
  const entries = Object.entries(RUN_FILES).map(([key, file]) => [key, join(path, file)]);
  return {
    name: basename(resolve(path)),
    path,
    config,
    files: Object.fromEntries(entries) as RunFolder["files"],
  };
}

function checkName(name: string): void {
  if (/^[^/\\\p{Cc}]+$/u.test(name) && name !== "." && name !== "..") return;
  throw new UserError(
    `A run cannot be named ${JSON.stringify(name)}; expected a plain folder name without slashes.`,
  );
}

/** Two runs may start in the same second: the second takes the next free name. */
function claimDated(root: string, label: string): string {
  const now = new Date();
  const two = (number: number) => String(number).padStart(2, "0");
  const date = `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}`;
  const base = `${date}-${two(now.getHours())}${two(now.getMinutes())}${two(now.getSeconds())}-${label}`;
  for (let attempt = 1; ; attempt++) {
    const path = join(root, attempt === 1 ? base : `${base}-${attempt}`);
    if (tryMake(path)) return path;
  }
}

function claim(path: string): string {
  if (!tryMake(path)) refuseTaken(path);
  return path;
}

/** An empty folder may be taken. */
function refuseTaken(path: string): void {
  if (!existsSync(path) || (isFolder(path) && isUnused(path))) return;
  const resume = isRunFolder(path) ? `go on with that run by --resume ${path}, ` : "";
  throw new UserError(
    `${path} is already there. Results are never overwritten: ${resume}choose another --name, or move that folder away.`,
  );
}

/** Empty, or what a process left that was killed while it made the folder. */
function isUnused(path: string): boolean {
  const { checkpoints, record } = RUN_FILES;
  return readdirSync(path).every(
    (name) =>
      name === record ||
      name.endsWith(".tmp") ||
      (name === checkpoints && readdirSync(join(path, name)).length === 0),
  );
}

function tryMake(path: string): boolean {
  try {
    mkdirSync(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    return withPath("make the folder", path, () => {
      throw error;
    });
  }
}
