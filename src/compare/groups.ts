// Runs of one experiment put together, and the random cells that they are measured by.
import type { ComparedRun, RunRow, TrainedCell } from "./run-row.ts";
import { differencesAmong, drawnFrom, type SettingDifference, settingsOf, trainingOf } from "./settings.ts";
import { type Difference, holm, type Sample, sampleOf, welch } from "./statistics.ts";

/** Runs that differ in nothing but the seed. A sample is of those that have come so far; null where none has. */
export interface RunGroup {
  /** The method, numbered where several groups have it. */
  readonly label: string;
  readonly method: string;
  /** Paths of the runs, each of another seed. */
  readonly runs: readonly string[];
  readonly seeds: readonly number[];
  /** Skip connections in the normal cell. */
  readonly skips: Sample | null;
  readonly params: Sample | null;
  readonly macs: Sample | null;
  readonly searchSeconds: Sample | null;
  /** The largest of its searches. */
  readonly peakMB: number | null;
  readonly validAccuracy: Sample | null;
  readonly top1: Sample | null;
  /** The random cells at its budget: the label of a {@link RandomCells}. */
  readonly random: string | null;
  /** `top1` above theirs; `corrected` is `p` by Holm for all groups together. */
  readonly difference: (Difference & { readonly corrected: number }) | null;
}

/** Random cells of one space trained by one set of settings, of all runs; the same cell of two runs counts once. */
export interface RandomCells {
  readonly label: string;
  readonly runs: readonly string[];
  readonly seeds: readonly number[];
  readonly params: Sample;
  readonly macs: Sample;
  readonly top1: Sample;
}

/** Everything that a comparison says of its runs as sets. */
export interface Grouped {
  readonly groups: readonly RunGroup[];
  readonly random: readonly RandomCells[];
  readonly differences: readonly SettingDifference[];
  /** Runs left out, each with the one that it repeats. */
  readonly repeats: readonly { readonly run: string; readonly of: string }[];
}

interface Pool {
  readonly key: string;
  readonly cells: { readonly run: string; readonly seed: number; readonly trained: TrainedCell }[];
}

/** Groups `runs`; those that have not begun, and those that train a random cell alone, are in no group. */
export function groupRuns(runs: readonly ComparedRun[]): Grouped {
  const begun = runs.filter(({ data }) => data !== null);
  const alike = [...byKey(begun.filter(isGrouped), (run) => JSON.stringify(settingsOf(run))).values()];
  const labels = labelsOf(alike.map(([first]) => first!.row.method));
  const pools = poolsOf(begun);
  const repeats: { run: string; of: string }[] = [];
  const groups = alike.map((members, i) => {
    const pool = pools.findIndex(({ key }) => key === poolKey(members[0]!));
    return summarise(
      labels[i]!,
      withoutRepeats(members, repeats),
      pool < 0 ? undefined : poolLabel(pools, pool),
    );
  });
  const random = pools.map((pool, i) => summarisePool(poolLabel(pools, i), pool));
  const settings = new Map(alike.map(([first], i) => [labels[i]!, settingsOf(first!)]));
  return {
    groups: withDifferences(groups, random),
    random,
    differences: differencesAmong(settings),
    repeats,
  };
}

function isGrouped({ searches, row }: ComparedRun): boolean {
  return searches || row.method !== "random cell";
}

/** Of one seed the first run that has finished, or the first. */
function withoutRepeats(
  members: readonly ComparedRun[],
  repeats: { run: string; of: string }[],
): ComparedRun[] {
  return [...byKey(members, ({ row }) => row.seed).values()].map((same) => {
    const kept = same.find(({ row }) => row.finished) ?? same[0]!;
    for (const { row } of same) if (row !== kept.row) repeats.push({ run: row.run, of: kept.row.run });
    return kept;
  });
}

function summarise(
  label: string,
  members: readonly ComparedRun[],
  random: string | undefined,
): Omit<RunGroup, "difference"> {
  const rows = members.map(({ row }) => row);
  const sample = (value: (row: RunRow) => number | null | undefined) =>
    sampleOf(rows.flatMap((row) => value(row) ?? []));
  const peaks = rows.flatMap(({ search }) => search?.peakMB ?? []);
  return {
    label,
    method: rows[0]!.method,
    runs: rows.map(({ run }) => run),
    seeds: rows.map(({ seed }) => seed),
    skips: sample(({ skips }) => skips),
    params: sample(({ params }) => params),
    macs: sample(({ macs }) => macs),
    searchSeconds: sample(({ search }) => search?.seconds),
    peakMB: peaks.length > 0 ? Math.max(...peaks) : null,
    validAccuracy: sample(({ validAccuracy }) => validAccuracy),
    top1: sample(({ top1 }) => top1),
    random: random ?? null,
  };
}

function withDifferences(
  groups: readonly Omit<RunGroup, "difference">[],
  random: readonly RandomCells[],
): RunGroup[] {
  const found = groups.map(({ top1, random: name }) => {
    const pool = random.find(({ label }) => label === name);
    return top1 && pool ? welch(top1, pool.top1) : null;
  });
  const corrected = holm(found.flatMap((difference) => difference?.p ?? [])).values();
  return groups.map((group, i) => {
    const difference = found[i] ?? null;
    return { ...group, difference: difference && { ...difference, corrected: corrected.next().value! } };
  });
}

function poolKey(run: ComparedRun): string {
  return JSON.stringify([trainingOf(run), drawnFrom(run)]);
}

/** A seed draws and trains the same random cells whatever the run's method: those of a second run are the first's again. */
function poolsOf(runs: readonly ComparedRun[]): Pool[] {
  const having = runs.filter(({ row }) => row.random.length > 0);
  return [...byKey(having, poolKey)].map(([key, members]) => {
    const all = members.flatMap(({ row: { run, seed, random } }) =>
      random.map((trained) => ({ run, seed, trained })),
    );
    const once = byKey(all, ({ seed, trained }) => `${seed} ${trained.cell}`);
    return { key, cells: [...once.values()].map(([first]) => first!) };
  });
}

function summarisePool(label: string, { cells }: Pool): RandomCells {
  const sample = (value: (trained: TrainedCell) => number) =>
    sampleOf(cells.map(({ trained }) => value(trained)))!;
  return {
    label,
    runs: [...new Set(cells.map(({ run }) => run))],
    seeds: [...new Set(cells.map(({ seed }) => seed))],
    params: sample(({ params }) => params),
    macs: sample(({ macs }) => macs),
    top1: sample(({ top1 }) => top1),
  };
}

function poolLabel(pools: readonly Pool[], index: number): string {
  return pools.length === 1 ? "random cells" : `random cells ${index + 1}`;
}

/** A name that occurs once stands for itself; others are numbered. */
function labelsOf(names: readonly string[]): string[] {
  return names.map((name, i) => {
    const same = names.flatMap((other, j) => (other === name ? [j] : []));
    return same.length === 1 ? name : `${name} ${same.indexOf(i) + 1}`;
  });
}

function byKey<T, K>(items: readonly T[], key: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) {
    const of = key(item);
    const group = groups.get(of);
    if (group) group.push(item);
    else groups.set(of, [item]);
  }
  return groups;
}
