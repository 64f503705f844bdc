// A comparison as people read it.
import { formatGenotype } from "../genotype/parse.ts";
import { percent, textTable } from "../run/figures.ts";
import { duration } from "../run/plan-text.ts";
import type { RandomCells, RunGroup } from "./groups.ts";
import type { RunRow } from "./run-row.ts";
import type { SettingDifference } from "./settings.ts";
import type { Sample } from "./statistics.ts";

/** What is read of a comparison; see compareRuns. */
export interface ComparedText {
  readonly groups: readonly RunGroup[];
  readonly random: readonly RandomCells[];
  readonly differences: readonly SettingDifference[];
  readonly runs: readonly RunRow[];
  readonly notes: readonly string[];
}

/** The table of groups, the differences from random cells in words, and the notes; with `listRuns` each run and its cell. */
export function comparisonText(comparison: ComparedText, { listRuns = false } = {}): string {
  const { groups, random, differences, runs, notes } = comparison;
  const sections = [groupTable(groups, random)];
  const against = groups.flatMap((group) => againstRandom(group, random));
  const tests = groups.filter(({ difference }) => difference).length;
  if (against.length > 0) sections.push([...against, ...(tests > 0 ? [explanation(tests)] : [])].join("\n"));
  if (differences.length > 0)
    sections.push(["Settings that differ:", ...differences.map(differenceLine)].join("\n"));
  if (notes.length > 0) sections.push(notes.join("\n"));
  if (listRuns) sections.push(runTable(runs), genotypes(runs));
  return sections.join("\n\n");
}

function groupTable(groups: readonly RunGroup[], random: readonly RandomCells[]): string {
  const header = [
    "",
    "seeds",
    "skips",
    "parameters",
    "multiply-adds",
    "search",
    "memory",
    "supernet",
    "top-1",
  ];
  const rows = groups.map((group) => [
    group.label,
    seedsText(group.seeds),
    show(group.skips, ({ mean }) => number(mean, 1)),
    ...counts(group),
    show(group.searchSeconds, ({ mean }) => duration(mean)),
    group.peakMB === null ? "–" : `${group.peakMB.toLocaleString("en-US")} MB`,
    show(group.validAccuracy, ({ mean }) => percent(mean)),
    show(group.top1, accuracy),
  ]);
  const pooled = random.map((cells) => [
    cells.label,
    seedsText(cells.seeds),
    "",
    ...counts(cells),
    "",
    "",
    "",
    accuracy(cells.top1),
  ]);
  const legend =
    "Means over the seeds. Skips are those of the normal cell; search: its time, and memory at most; supernet: its best\n" +
    "validation accuracy; top-1: on the test images, ± the standard deviation between n trainings.";
  return `${textTable([header, ...rows, ...pooled])}\n\n${legend}`;
}

function counts({ params, macs }: Pick<RunGroup, "params" | "macs">): string[] {
  return [
    show(params, ({ mean }) => Math.round(mean).toLocaleString("en-US")),
    show(macs, ({ mean }) => `${(mean / 1e6).toFixed(2)} M`),
  ];
}

/** 53.10 ± 0.42 % (n 3). */
function accuracy({ n, mean, sd }: Sample): string {
  const spread = sd === null ? "" : ` ± ${(100 * sd).toFixed(2)}`;
  return `${(100 * mean).toFixed(2)}${spread} % (n ${n})`;
}

/** One sentence on each group that was trained, no surer than its numbers. */
function againstRandom(
  { label, top1, random: name, difference }: RunGroup,
  random: readonly RandomCells[],
): string[] {
  const cells = random.find((one) => one.label === name);
  if (!top1 || !cells) return [];
  const points = (100 * (top1.mean - cells.top1.mean)).toFixed(2);
  const side = points.startsWith("-") ? "below" : "above";
  const gap = /^-?0\.00$/.test(points)
    ? `${label}: level with the ${cells.label}`
    : `${label}: ${points.replace("-", "")} points ${side} the ${cells.label}`;
  if (!difference) {
    const few = top1.n < 2 || cells.top1.n < 2;
    return [
      few
        ? `${gap} (n ${top1.n} and ${cells.top1.n}); chance cannot be told from a difference before there are two of each.`
        : `${gap}; there is no spread to measure it by.`,
    ];
  }
  const [low, high] = difference.interval.map((end) => (100 * end).toFixed(2));
  return [
    `${gap} (standard error ${(100 * difference.standardError).toFixed(2)}, 95 % interval ${low} to ${high}, ` +
      `Welch's t ${difference.t.toFixed(2)} on ${difference.degrees.toFixed(1)} degrees of freedom, p ${probability(difference.corrected)}): ${verdict(difference)}.`,
  ];
}

const SURE = 0.05;

function verdict({ difference, p, corrected }: { difference: number; p: number; corrected: number }): string {
  if (corrected < SURE) return `${difference > 0 ? "better" : "worse"} than chance explains`;
  return p < SURE ? "within noise, given how many groups are tested" : "within noise";
}

function probability(p: number): string {
  return p < 0.001 ? "< 0.001" : p.toFixed(3);
}

function explanation(tests: number): string {
  const corrected = tests > 1 ? ` p is corrected for ${tests} groups (Holm).` : "";
  return `"Within noise" does not mean equal: with few seeds only large differences show.${corrected}`;
}

function differenceLine({ key, values }: SettingDifference): string {
  return `  ${key}: ${values.map(({ value, groups }) => `${settingText(value)} (${groups.join(", ")})`).join(" · ")}`;
}

function settingText(value: unknown): string {
  if (Array.isArray(value)) return value.join(",");
  return typeof value === "string" ? value : JSON.stringify(value);
}

function runTable(runs: readonly RunRow[]): string {
  const header = [
    "run",
    "method",
    "seed",
    "skips",
    "parameters",
    "multiply-adds",
    "search",
    "memory",
    "supernet",
    "top-1",
    "random cells",
  ];
  const rows = runs.map(({ run, method, seed, skips, params, macs, search, validAccuracy, top1, random }) => [
    run,
    method,
    String(seed),
    show(skips, String),
    show(params, (count) => count.toLocaleString("en-US")),
    show(macs, (count) => `${(count / 1e6).toFixed(2)} M`),
    show(search, ({ seconds }) => duration(seconds)),
    show(search, ({ peakMB }) => `${peakMB.toLocaleString("en-US")} MB`),
    show(validAccuracy, percent),
    show(top1, percent),
    random.map((cell) => percent(cell.top1)).join(", "),
  ]);
  return textTable([header, ...rows]);
}

function genotypes(runs: readonly RunRow[]): string {
  return runs
    .flatMap(({ run, genotype }) => (genotype ? [`${run}\n  ${formatGenotype(genotype)}`] : []))
    .join("\n");
}

function show<T>(value: T | null, text: (value: T) => string): string {
  return value === null ? "–" : text(value);
}

/** A whole number as it is. */
function number(value: number, digits: number): string {
  return Number.isInteger(value) ? String(value) : value.toFixed(digits);
}

function seedsText(seeds: readonly number[]): string {
  return seeds.length > 5 ? `${seeds.length} seeds` : seeds.join(" ");
}
