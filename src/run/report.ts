// The final report as people read it.
import { countsText, type DataSummary, imbalanceWarning } from "../data/class-counts.ts";
import { cellsOf, drawCellText } from "../genotype/draw.ts";
import type { Genotype } from "../genotype/genotype.ts";
import { formatGenotype } from "../genotype/parse.ts";
import { budgetText } from "../search/budget.ts";
import { percent, textTable } from "./figures.ts";
import { type HealthEvent, healthLine } from "./health.ts";
import type { SearchOutcome, TrainOutcome } from "./outcomes.ts";

/** What a run came to; report.json holds it. */
export interface RunReport {
  /** The run's folder. */
  readonly run: string;
  readonly search?: SearchOutcome;
  readonly trained: readonly TrainOutcome[];
  /** What it learned from, with the images of each class. */
  readonly data: DataSummary;
  readonly testImages: number;
  /** Who read the test images: only the measurements of trained networks. */
  readonly testOpenedBy: readonly string[];
  /** What of the run's course a person should look at. */
  readonly health: readonly HealthEvent[];
}

/** The cells, drawn for a terminal. */
export function cellText(genotype: Genotype): string {
  return cellsOf(genotype)
    .map(({ name, edges, concat, inputs }) => `${name}\n${drawCellText(edges, concat, { inputs })}`)
    .join("\n\n");
}

/** The report as text. */
export function reportText({ run, search, trained, data, testImages, health }: RunReport): string {
  const sections: string[] = [];
  const genotype = search?.genotype ?? trained[0]?.genotype;
  if (genotype) sections.push(cellText(genotype), formatGenotype(genotype));
  if (search) {
    const accuracy =
      search.validAccuracy === null ? "" : `, supernet validation accuracy ${percent(search.validAccuracy)}`;
    const { select, epoch, reason } = search.selection;
    sections.push(
      `search: ${search.epochs} epochs in ${duration(search.seconds)}; ` +
        `the cell is that of epoch ${epoch + 1}, ${reason} (search.select ${select})${accuracy}`,
      ...(search.budget ? [`budget: ${search.budget.map(budgetText).join("; ")}`] : []),
    );
  }
  if (trained.length > 0) sections.push(table(trained), `Accuracies on ${testImages} test images.`);
  const drawn = trained.filter(({ draws }) => draws !== undefined);
  if (drawn.length > 0) {
    const each = drawn.map(({ cell, draws }) => `${cell} ${draws}`).join(", ");
    sections.push(`Random cells keep the budget too; cells drawn until one did: ${each}.`);
  }
  if (trained.length > 1) sections.push(comparison(trained));
  if (health.length > 0) sections.push(`Look at this:\n${health.map(healthLine).join("\n")}`);
  const warning = imbalanceWarning(data);
  if (warning !== undefined) sections.push(`${warning}\nImages by class: ${countsText(data)}`);
  const drawings = genotype
    ? cellsOf(genotype).map(({ kind }) => `${kind}.svg`)
    : ["normal.svg", "reduce.svg"];
  sections.push(
    `Everything lies in ${run}: config.yaml, events.jsonl, genotype.json, genotype.txt, ${drawings.join(", ")}, report.json` +
      `${trained.length > 0 ? `, weights as ${trained.map(({ cell }) => `${cell}.safetensors`).join(", ")}` : ""}.`,
  );
  return sections.join("\n\n");
}

function table(trained: readonly TrainOutcome[]): string {
  const header = ["cell", "parameters", "multiply-adds", "top-1", "top-5", "best top-1", "training"];
  const rows = trained.map(({ cell, params, macs, last, best, seconds }) => [
    cell,
    params.toLocaleString("en-US"),
    `${(macs / 1e6).toFixed(2)} M`,
    percent(last.top1),
    percent(last.top5),
    percent(best.top1),
    duration(seconds),
  ]);
  return textTable([header, ...rows]);
}

/** One pair of trainings is no proof: the sentence says what was seen, with the size of chance beside it. */
function comparison([found, ...random]: readonly TrainOutcome[]): string {
  const best = random.reduce((a, b) => (b.last.top1 > a.last.top1 ? b : a));
  const gap = 100 * (found.last.top1 - best.last.top1);
  const share = (found.last.top1 + best.last.top1) / 2;
  const chance = 100 * Math.sqrt((2 * share * (1 - share)) / found.last.images);
  return (
    `The found cell is ${Math.abs(gap).toFixed(2)} points ${gap >= 0 ? "above" : "below"} ${best.cell}` +
    ` (one training each; the standard error from the number of test images alone is ${chance.toFixed(2)} points).`
  );
}

function duration(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(0)} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60
    ? `${minutes} min ${String(Math.round(seconds % 60)).padStart(2, "0")} s`
    : `${(seconds / 3600).toFixed(1)} h`;
}
