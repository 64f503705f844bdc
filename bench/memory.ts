// `npm run bench -- memory`: the peak that a plan forecasts beside the peak that the system saw, for searches and
// trainings of many sizes, each in a process of its own.
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { heading } from "./machine.ts";
import { table } from "./table.ts";

/** A search or a training, and the data it is for. */
export interface MemoryCase {
  readonly kind: "search" | "train";
  /** Settings by dotted key. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** Images that the weights are trained on: more than a batch, and no whole number of batches. */
  readonly images: number;
  /** Side of the images. */
  readonly size?: number;
  /** Channels of the images; 3 when absent. */
  readonly imageChannels?: number;
  readonly classes?: number;
  /** A published cell; random when absent. */
  readonly genotype?: string;
}

/** What one process found, in megabytes and seconds. */
export interface MemoryResult {
  readonly forecastMB: number;
  readonly measuredMB: number;
  readonly rehearsalSeconds: number;
}

const search = (
  [channels, cells, batchSize]: readonly number[],
  rest: Readonly<Record<string, unknown>> = {},
  more: Partial<MemoryCase> = {},
): MemoryCase => ({
  kind: "search",
  images: Math.round(batchSize! * 1.6),
  settings: {
    "search.channels": channels,
    "search.cells": cells,
    "search.batchSize": batchSize,
    ...rest,
  },
  ...more,
});
const train = (
  [channels, cells, batchSize]: readonly number[],
  rest: Readonly<Record<string, unknown>> = {},
  more: Partial<MemoryCase> = {},
): MemoryCase => ({
  kind: "train",
  images: Math.round(batchSize! * 1.6),
  settings: {
    "train.channels": channels,
    "train.cells": cells,
    "train.batchSize": batchSize,
    ...rest,
  },
  ...more,
});
const SECOND = { "search.order": "second" };
const COMPOSITE = { kernels: "composite" };
const RECOMPUTE = { recompute: true };
const ONE_THREAD = { threads: 1 };
const MNIST = { size: 28, imageChannels: 1 };

/** Channels, cells, batch; then what differs from the defaults. */
const CASES: readonly MemoryCase[] = [
  search([16, 5, 32]), // the quick preset's
  search([16, 5, 32], SECOND),
  search([16, 5, 96], { "search.microBatch": 24 }),
  search([8, 5, 64]),
  search([16, 8, 64]), // the published
  search([32, 3, 48], {}, { size: 16, classes: 100 }),
  search([16, 4, 16], {}, { size: 64 }),
  search([16, 5, 64], { "search.order": "joint" }),
  search([16, 5, 40], RECOMPUTE),
  search([16, 5, 40], { ...RECOMPUTE, ...SECOND }),
  search([16, 8, 64], RECOMPUTE),
  search([16, 8, 64], { "search.method": "pc-darts" }),
  search([16, 8, 64], { "search.method": "gdas" }),
  search([16, 5, 32], ONE_THREAD),
  search([16, 8, 1]),
  search([16, 6, 96], {}, MNIST),
  search([16, 3, 4], {}, { size: 128 }),
  search([8, 4, 32], COMPOSITE),
  search([8, 4, 32], { ...COMPOSITE, ...SECOND }),
  search([16, 3, 48], COMPOSITE),
  search([8, 3, 24], COMPOSITE, { size: 48 }),
  train([8, 5, 64], { "train.auxiliary": false, "train.dropPath": 0 }), // the quick preset's
  train([16, 8, 64], {}, { genotype: "DARTS_V2" }),
  train([16, 8, 96], { "train.microBatch": 32 }, { genotype: "DARTS_V2" }),
  train([36, 8, 48], {}, { genotype: "DARTS_V1" }),
  train([36, 20, 24], {}, { genotype: "DARTS_V2" }),
  train([36, 20, 24], RECOMPUTE, { genotype: "DARTS_V2" }),
  train([36, 8, 64], ONE_THREAD, { genotype: "DARTS_V2" }),
  train([16, 8, 96], {}, { genotype: "PC_DARTS_CIFAR", ...MNIST }),
  train([36, 20, 1], { "train.auxiliary": false }, { genotype: "DARTS_V2" }), // that head has no batch statistics of one image
  train([24, 6, 32], {}, { size: 64, classes: 100, genotype: "AmoebaNet" }),
  train([48, 8, 8], { "train.stem": "imagenet" }, { size: 224, classes: 1000, genotype: "DARTS_V2" }),
];

/** Runs every case and prints it; with `large`, also the published training (8 GB). */
export async function benchMemory({ json, large }: { json: boolean; large: boolean }): Promise<void> {
  const published = train([36, 20, 96], {}, { genotype: "DARTS_V2" });
  const rows: string[][] = [];
  for (const one of large ? [...CASES, published] : CASES) {
    const result = await measure(one);
    const error = result.forecastMB / result.measuredMB - 1;
    if (json) process.stdout.write(`${JSON.stringify({ ...one, ...result, error })}\n`);
    rows.push([
      describe(one),
      result.forecastMB.toFixed(0),
      result.measuredMB.toFixed(0),
      `${(100 * error).toFixed(1)} %`,
      result.rehearsalSeconds.toFixed(1),
    ]);
  }
  if (json) return;
  const header = ["work", "forecast MB", "measured MB", "error", "rehearsal s"];
  process.stdout.write(`${heading()}\n\n${table(header, rows)}\n`);
}

/** Forecasts and measures one case in a fresh process. */
export async function measure(one: MemoryCase): Promise<MemoryResult> {
  const worker = fileURLToPath(new URL("memory-worker.js", import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [worker, JSON.stringify(one)]);
  return JSON.parse(stdout) as MemoryResult;
}

function describe({ kind, settings, size = 32, imageChannels = 3, genotype = "" }: MemoryCase): string {
  const words = Object.entries(settings).map(
    ([key, value]) => `${key.replace(/^(search|train)\./, "")} ${String(value)}`,
  );
  return [`${kind} ${size}×${size}×${imageChannels}`, genotype, ...words]
    .filter((word) => word !== "")
    .join(", ");
}
