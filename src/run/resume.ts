// How an interrupted run goes on: with which settings, from which checkpoint, and what of its log counts.

import { existsSync } from "node:fs";
import type { ConfigSources } from "../config/load.ts";
import { resolveConfig } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { UserError } from "../errors.ts";
import { findCheckpoint, type ResumePoint, type RunInFolder } from "./checkpoint-files.ts";
import { type LoggedEvent, readEvents } from "./events.ts";
import { differences, fixedSettings } from "./fixed-settings.ts";
import type { RunReport } from "./report.ts";
import type { RunFolder } from "./run-folder.ts";
import type { RunRecord } from "./run-record.ts";

/** The settings that a run goes on with; throws a {@link UserError} that names those which would make it another run. */
export function resumedConfig(run: RunFolder, sources: ConfigSources): Config {
  const own = sources.preset === undefined && sources.file === undefined;
  const config = resolveConfig(own ? { ...sources, file: run.files.config } : sources);
  const differ = differences(fixedSettings(run.config), fixedSettings(config));
  const [cells, before] = [config.train.randomCells, run.config.train.randomCells];
  if (cells < before) differ.push(`train.randomCells is ${cells}, was ${before} (it may only grow)`);
  if (differ.length === 0) return config;
  throw new UserError(
    `${run.path} cannot go on with other settings: ${differ.join("; ")}. Leave them out, or start a new run.`,
  );
}

/** The phases of a run in order, by the names of their checkpoints. */
function phasesOf({ command, genotype }: RunRecord, { train }: Config): string[] {
  if (command === "train") return [genotype ? "found" : "random-1"];
  if (command === "search") return ["search"];
  return ["search", "found", ...Array.from({ length: train.randomCells }, (_, i) => `random-${i + 1}`)];
}

/** Which phase an event ends, if any. */
function endedBy(event: LoggedEvent): string | undefined {
  if (event.type === "search-end") return "search";
  return event.type === "train-end" ? event.outcome.cell : undefined;
}

/** Where a run goes on: at a checkpoint of its first unfinished phase, or at that phase's beginning. */
export function findResumePoint(
  record: RunRecord,
  logged: readonly LoggedEvent[],
  where: RunInFolder,
): { past: readonly LoggedEvent[]; resumed: ResumePoint | undefined } {
  const ended = logged.map(endedBy);
  const phase = phasesOf(record, where.config).find((name) => !ended.includes(name));
  const resumed = phase === undefined ? undefined : findCheckpoint(where, phase, logged.length);
  const lastEnd = ended.findLastIndex((name) => name !== undefined);
  // The first event is that of the start; between two phases, nothing after the end of the first one counts.
  const between = Math.min(logged.length, Math.max(1, lastEnd + 1));
  return { past: logged.slice(0, resumed?.events ?? between), resumed };
}

/** The report of a run that has nothing left to do. */
export function finishedReport(run: RunFolder, record: RunRecord, config: Config): RunReport | undefined {
  if (!existsSync(run.files.events)) return undefined;
  const logged = readEvents(run.files.events);
  const last = logged.at(-1);
  const ended = logged.map(endedBy);
  if (last?.type !== "report" || !phasesOf(record, config).every((name) => ended.includes(name)))
    return undefined;
  return last.report as unknown as RunReport;
}
