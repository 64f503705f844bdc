// Run folders beside each other: what `darts compare` says.
import { readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { type Grouped, groupRuns } from "../compare/groups.ts";
import { type ComparedRun, type RunRow, readRun } from "../compare/run-row.ts";
import { UserError } from "../errors.ts";
import { isFolder } from "../files.ts";
import { isRunFolder, openRun, runConfigFile } from "../run/run-folder.ts";

/** Runs by groups that differ in nothing but the seed, beside random cells at equal budget. */
export interface Comparison extends Grouped {
  readonly runs: readonly RunRow[];
  /** What to have in mind when reading it. */
  readonly notes: readonly string[];
}

/**
 * Compares runs over methods and seeds, as `darts compare` does: each group's cells, costs and accuracies with their
 * spread, and its difference from the random cells that were trained alike (Welch's t-test, corrected for the number of
 * groups). Accuracies are 0…1. Runs may be unfinished: they count as far as they have come.
 * @param paths folders of runs, or folders that hold some
 * Throws a UserError for a path that is neither, and for a damaged run.
 */
export async function compareRuns(paths: readonly string[]): Promise<Comparison> {
  const runs: ComparedRun[] = [];
  for (const path of runsBelow(paths)) {
    await loadPluginsOf(path);
    runs.push(readRun(openRun(path)));
  }
  const grouped = groupRuns(runs);
  const notes = notesOn(runs, grouped);
  if (grouped.groups.length + grouped.random.length === 0)
    throw new UserError(`There is nothing to compare yet. ${notes.join(" ")}`);
  return { ...grouped, runs: runs.map(({ row }) => row), notes };
}

/** Each run once, however often it is named. */
function runsBelow(paths: readonly string[]): string[] {
  if (paths.length === 0) throw new UserError("There is nothing to compare: name folders of runs.");
  const found = paths.flatMap((path) => {
    if (isRunFolder(path)) return [path];
    if (!isFolder(path)) {
      throw new UserError(
        `${path} is not the folder of a run. Expected folders of runs, or one that holds them: darts compare runs`,
      );
    }
    const below = readdirSync(path)
      .map((name) => join(path, name))
      .filter(isRunFolder)
      .sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
    if (below.length > 0) return below;
    throw new UserError(
      `${path} holds no runs: expected the folder of a run (with a config.yaml), or a folder of such folders.`,
    );
  });
  return [...new Map(found.map((path) => [resolve(path), path])).values()];
}

/** The library is loaded only for a run that names plugins. */
async function loadPluginsOf(path: string): Promise<void> {
  const { pluginsOf } = await import("../config/load.ts");
  const plugins = pluginsOf({ file: runConfigFile(path) });
  if (plugins.length === 0) return;
  const { loadPlugins } = await import("../plugin/load.ts");
  await loadPlugins(plugins);
}

function notesOn(runs: readonly ComparedRun[], { groups, random, differences, repeats }: Grouped): string[] {
  const notes: string[] = [];
  for (const { row, data } of runs)
    if (row.finished && data === null)
      notes.push(
        `${row.run} is of an earlier version, whose log does not tell the images: it is in no group.`,
      );
    else if (!row.finished)
      notes.push(`${row.run} is unfinished (${row.state}): it counts as far as it has come.`);
  for (const { run, of } of repeats)
    notes.push(`${run} repeats ${of}, with the same settings and seed: it is not counted.`);
  const training = differences.filter(({ training }) => training).map(({ key }) => key);
  if (training.length > 0)
    notes.push(
      `Not all were trained alike (${training.join(", ")}): accuracies of those groups do not compare.`,
    );
  const alone = groups.filter((group) => group.top1 && group.random === null).map(({ label }) => label);
  if (alone.length > 0) {
    const why =
      random.length > 0
        ? "the random cells were trained or drawn by other settings"
        : "no random cell was trained";
    notes.push(`No random cells at equal budget for ${alone.join(", ")}: ${why}.`);
  }
  const searched = runs.filter(({ row }) => row.search);
  if (searched.some(({ row }) => !row.search!.isPeak))
    notes.push(
      "Memory is the most that was held at the end of an epoch: the logs of some searches tell no peak.",
    );
  const hosts = [...new Set(searched.flatMap((run) => run.hosts))];
  if (hosts.length > 1)
    notes.push(
      `Searches ran on different machines or threads (${hosts.join("; ")}): their times do not compare.`,
    );
  return notes;
}
