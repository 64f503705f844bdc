// `bench methods`: time and peak memory of a search step of every method at its published settings, by that of DARTS in
// first order; one step of each in every round.
import { findOurs, OURS } from "./contenders.ts";
import { heading, load, machine } from "./machine.ts";
import { type MethodRequest, type MethodStep, REFERENCE } from "./method-names.ts";
import { type Figures, takeRounds } from "./rounds.ts";
import { rounded } from "./statistics.ts";
import { table } from "./table.ts";
import { withWorker } from "./worker.ts";

/** What is measured. */
export interface MethodsOptions {
  /** Names of methods; DARTS takes part in any case. */
  readonly methods: readonly string[];
  readonly runs: number;
  readonly threads: number;
  readonly json: boolean;
}

/** One line of the table. */
interface Row extends Omit<MethodStep, "shape" | "shapes"> {
  readonly name: string;
}

interface MethodReport extends Row {
  /** Null where the step failed. */
  readonly figures: (Figures & { readonly imagesPerSecond: number }) | null;
  /** By DARTS in first order: of a step's time, of the time for one image, of the peak. */
  readonly ofDarts: { readonly step: number; readonly image: number; readonly peak: number } | null;
}

/** Measures and prints. */
export async function benchMethods({ methods, runs, threads, json }: MethodsOptions): Promise<void> {
  const { torch } = await findOurs(threads);
  const { steps } = await withWorker(OURS, (worker) =>
    worker.ask<{ steps: MethodStep[] }>({
      work: "methods",
      methods: [...new Set([REFERENCE.method, ...methods])],
    }),
  );
  const before = load();
  if (!json)
    console.log(`${heading()}\n${runs} rounds after a warm-up, libtorch ${torch}, threads ${threads}\n`);
  const contenders = steps.map(
    (step) => [nameOf(step), { program: OURS, request: requestOf(step, threads) }] as const,
  );
  const [reference] = steps.map(nameOf);
  const found = await takeRounds(new Map(contenders), {
    runs,
    title: "methods",
    isEssential: (name) => name === reference,
  });
  const rows = steps.map(({ shape: _, shapes: __, ...step }, i) => ({ ...step, name: contenders[i]![0] }));
  const reports = rows.map((row) => reportOn(row, found, rows[0]!));
  const about = { runs, threads, torch, machine: machine(), load: before };
  if (!json) console.log(`${readable(reports)}\n`);
  else
    for (const report of reports) console.log(JSON.stringify({ work: "method-step", ...report, ...about }));
}

function requestOf({ method, order, shape }: MethodStep, threads: number): MethodRequest {
  return { work: "method-step", method, order, shape, threads };
}

/** `darts, second order`; `p-darts 2` is its second shape. */
function nameOf({ method, order, shape, shapes }: MethodStep): string {
  const numbered = shapes > 1 ? `${method} ${shape + 1}` : method;
  return method === REFERENCE.method && order !== REFERENCE.order ? `${numbered}, ${order} order` : numbered;
}

function reportOn(row: Row, found: ReadonlyMap<string, Figures | null>, reference: Row): MethodReport {
  const [own, darts] = [found.get(row.name) ?? null, found.get(reference.name)!];
  return {
    ...row,
    figures: own && { ...own, imagesPerSecond: rounded((1000 * row.batch) / own.medianMs) },
    ofDarts: own && {
      step: rounded(own.medianMs / darts.medianMs, 3),
      image: rounded(own.medianMs / row.batch / (darts.medianMs / reference.batch), 3),
      peak: rounded(own.peakMB / darts.peakMB, 3),
    },
  };
}

function readable(reports: readonly MethodReport[]): string {
  const header = [
    ...["", "order", "cells", "operations", "batch", "median ms", "min ms", "images/s"],
    ...["step", "image", "peak MB", "peak"],
  ];
  const times = (factor: number | undefined | null) => (factor ? `${factor.toFixed(2)} ×` : "");
  const rows = reports.map(({ name, order, cells, operations, batch, figures, ofDarts }) => [
    ...[name, order, String(cells), String(operations), String(batch)],
    ...(figures
      ? [figures.medianMs.toFixed(0), figures.minMs.toFixed(0), figures.imagesPerSecond.toFixed(1)]
      : ["failed", "", ""]),
    ...[
      times(ofDarts?.step),
      times(ofDarts?.image),
      figures ? String(figures.peakMB) : "",
      times(ofDarts?.peak),
    ],
  ]);
  const legend =
    "operations: in the normal cell, over its edges; step, image, peak: by those of darts in first order, where image is the time for one image";
  return `${table(header, rows)}\n  ${legend}`;
}
