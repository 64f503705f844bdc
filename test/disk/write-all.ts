// Writes one file of each kind below a folder and says what came of it: run as a process of its own, because limits of
// files are limits of processes. Arguments: the folder, and `first` to make what the others then find there.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { resolveConfig } from "../../src/config/load.ts";
import { ensureDownloaded } from "../../src/data/download.ts";
import { readStored, storeDataset } from "../../src/data/stored.ts";
import { UserError } from "../../src/errors.ts";
import { makeFolder, writeAtomic } from "../../src/files.ts";
import { drawCellSvg } from "../../src/genotype/draw.ts";
import { findGenotype } from "../../src/genotype/published.ts";
import { loadCheckpoint, loadWeights, saveCheckpoint, saveWeights } from "../../src/run/checkpoint.ts";
import { openEvents, readEvents } from "../../src/run/events.ts";
import {
  createRun,
  openRun,
  type RunFolder,
  readGenotype,
  readReport,
  saveGenotype,
  saveReport,
} from "../../src/run/run-folder.ts";
import { scope } from "../../src/tensor/scope.ts";
import { randn } from "../../src/tensor/tensor.ts";
import { toyDataset } from "../support/toy-problem.ts";

/** What became of one kind of file. */
export interface Written {
  readonly kind: string;
  /** Absent when it was written. */
  readonly error?: { readonly isUserError: boolean; readonly message: string };
  /** Absent when what lay there before (or lies there now) reads well. */
  readonly lost?: string;
}

interface Kind {
  readonly name: string;
  write(): unknown;
  /** Reads what must be there whatever becomes of `write`. */
  read(): unknown;
}

const cell = findGenotype("DARTS_V2");

function kinds(folder: string, run: RunFolder): Kind[] {
  const checkpoint = join(run.files.checkpoints, "search-last.safetensors");
  const weights = join(run.path, "found.safetensors");
  const drawing = join(folder, "drawing.svg");
  const stored = join(folder, "cache", "datasets", "toy");
  const noted: RunFolder = { ...run, path: join(run.path) };
  return [
    {
      name: "run config",
      write: () => createRun({ config: run.config, root: folder }),
      read: () => openRun(run.path),
    },
    { name: "events", write: () => append(run.files.events), read: () => readEvents(run.files.events) },
    {
      name: "checkpoint",
      write: () =>
        scope(() =>
          saveCheckpoint(checkpoint, { tensors: new Map([["weights/a", randn([64, 64])]]), state: {} }),
        ),
      read: () => scope(() => loadCheckpoint(checkpoint).tensors.get("weights/a")!.shape.join()),
    },
    {
      name: "genotype and its drawings",
      write: () => saveGenotype(noted, cell),
      read: () => readGenotype(run),
    },
    {
      name: "report",
      write: () => saveReport(run, { top1: 0.5, text: "x".repeat(5000) }),
      read: () => readReport(run),
    },
    {
      name: "drawing",
      write: async () => writeAtomic(drawing, await drawCellSvg(cell.normal, cell.normalConcat, "a cell")),
      read: () => requireMatch(drawing, /<svg.*<\/svg>/s),
    },
    {
      name: "exported weights",
      write: () => scope(() => saveWeights(weights, new Map([["a", randn([64, 64])]]))),
      read: () => scope(() => loadWeights(weights).get("a")!.shape.join()),
    },
    // Made anew in place: what cannot be written whole is never taken for whole.
    {
      name: "decoded cache",
      write: () => storeDataset(stored, toyDataset({ images: 64 })),
      read: () => readStored(stored),
    },
    { name: "download", write: () => download(join(folder, "cache", "downloads")), read: () => undefined },
  ];
}

function append(path: string): void {
  const log = openEvents(path);
  try {
    for (let i = 0; i < 200; i++) log.append({ type: "error", message: "x".repeat(200) });
  } finally {
    log.close();
  }
}

/** A download that its client cannot write. */
function download(folder: string): Promise<void> {
  return ensureDownloaded(
    {
      title: "a package",
      bytes: 50_000,
      diskBytes: 100_000,
      files: [{ name: "file", sha256: "60c3ba20e2f45a3e2d9bd83a49a2e3bd6d4b1a2b4ef7b9e0d2f3fb0c5f3a9d10" }],
      async fetch(to) {
        writeAtomic(join(to, "file"), new Uint8Array(50_000));
        throw new UserError("The download is not what it should be: it was written all the same.");
      },
      otherwise: "do it by hand",
    },
    folder,
    () => {},
  );
}

function requireMatch(path: string, pattern: RegExp): void {
  if (existsSync(path) && !pattern.test(readFileSync(path, "utf8"))) throw new Error(`${path} is torn`);
}

async function attempt({ name: kind, write, read }: Kind): Promise<Written> {
  const result: { kind: string; error?: Written["error"]; lost?: string } = { kind };
  try {
    await write();
  } catch (error) {
    result.error = { isUserError: error instanceof UserError, message: (error as Error).message };
  }
  try {
    await read();
  } catch (error) {
    result.lost = (error as Error).message;
  }
  return result;
}

async function main([folder, first]: readonly string[]): Promise<void> {
  if (first) makeFolder(folder!);
  const path = join(folder!, "run");
  const run = first
    ? createRun({ config: resolveConfig({ preset: "quick" }), root: folder!, name: "run" })
    : openRun(path);
  const results: Written[] = [];
  for (const kind of kinds(folder!, run)) results.push(await attempt(kind));
  process.stdout.write(JSON.stringify(results));
}

if (import.meta.url === pathToFileURL(process.argv[1]!).href) await main(process.argv.slice(2));
