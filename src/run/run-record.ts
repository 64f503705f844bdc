// run.json: what a run is, for whoever resumes it, and every start of it.
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { cpus, hostname, totalmem } from "node:os";
import { z } from "zod";
import type { Config } from "../config/schema.ts";
import type { ImageDataset, ImageSet } from "../data/dataset.ts";
import { UserError } from "../errors.ts";
import { readJson, writeAtomic } from "../files.ts";
import type { Genotype } from "../genotype/genotype.ts";
import { formatJson, parseGenotype } from "../genotype/parse.ts";
import { changedSince, fingerprintOfPlugin, type PluginFingerprint } from "../plugin/fingerprint.ts";
import type { RunFolder } from "./run-folder.ts";

/** A command that computes in a run folder of its own. */
export type RunCommand = "run" | "search" | "train";

/** One start of a run by a process. */
export interface RunStart {
  readonly time: string;
  /** Versions of what computes: node, libtorch. */
  readonly versions: Readonly<Record<string, string>>;
  readonly host: {
    readonly name: string;
    readonly platform: string;
    readonly cpu: string;
    readonly cores: number;
    readonly memoryMB: number;
    readonly threads: number;
  };
}

/** What a run is. */
export interface RunRecord {
  readonly command: RunCommand;
  /** The cell that `darts train` was given; null when it is found or drawn. */
  readonly genotype: Genotype | null;
  /** SHA-256 of the images and labels. */
  readonly data: string;
  /** What each plugin is made of, in the order of the key `plugin`. */
  readonly plugins: readonly PluginFingerprint[];
  /** Every start, the first one first. */
  readonly starts: readonly RunStart[];
}

const FORMAT = 1;
/** Earlier versions knew the plugin's own file alone. */
const plugin = z.union([
  z.string().transform((file): PluginFingerprint => ({ file })),
  z.object({ file: z.string(), imports: z.record(z.string(), z.string()).optional() }),
]);
const schema = z.object({
  format: z.literal(FORMAT),
  command: z.enum(["run", "search", "train"]),
  genotype: z.string().nullable(),
  data: z.string(),
  plugins: z.array(plugin).default([]),
  starts: z.array(
    z.object({
      time: z.string(),
      versions: z.record(z.string(), z.string()),
      host: z.object({
        name: z.string(),
        platform: z.string(),
        cpu: z.string(),
        cores: z.number(),
        memoryMB: z.number(),
        threads: z.number(),
      }),
    }),
  ),
});

/** Writes run.json. */
export function writeRecord(run: Pick<RunFolder, "files">, record: RunRecord): void {
  const genotype = record.genotype && formatJson(record.genotype);
  writeAtomic(run.files.record, `${JSON.stringify({ format: FORMAT, ...record, genotype }, null, 2)}\n`);
}

/** Reads run.json; throws a {@link UserError} when a run has none or it is damaged. */
export function readRecord(run: RunFolder): RunRecord {
  const path = run.files.record;
  if (!existsSync(path)) {
    throw new UserError(
      `${run.path} cannot be resumed: it has no run.json. A version of darts that could not resume made it; start a new run.`,
    );
  }
  const { success, data } = schema.safeParse(readJson(path, "a run's record"));
  if (!success) {
    throw new UserError(`${path} is not the record of a run by this version of darts. Start a new run.`);
  }
  return { ...data, genotype: data.genotype === null ? null : parseGenotype(data.genotype) };
}

/** This process as a start of a run, on that version of libtorch. */
export function thisStart(threads: number, libtorch: string): RunStart {
  return {
    time: new Date().toISOString(),
    versions: { node: process.version, libtorch },
    host: {
      name: hostname(),
      platform: `${process.platform}-${process.arch}`,
      cpu: cpus()[0]?.model ?? "unknown",
      cores: cpus().length,
      memoryMB: Math.round(totalmem() / 2 ** 20),
      threads,
    },
  };
}

/** What each of the plugins is made of. */
export function pluginFingerprints({ plugin: paths }: Pick<Config, "plugin">): Promise<PluginFingerprint[]> {
  return Promise.all(paths.map(fingerprintOfPlugin));
}

/** The plugins' files that are no longer those that the run was begun with, as a reader is told of them. */
export async function changedPlugins(
  { plugins }: RunRecord,
  { plugin: paths }: Pick<Config, "plugin">,
): Promise<string[]> {
  const changed = paths.map((path, i) => (plugins[i] ? changedSince(plugins[i], path) : []));
  return (await Promise.all(changed)).flat();
}

/** SHA-256 over all that a run reads of its data. */
export function fingerprintOf({ train, test, classes, mean, std }: ImageDataset): string {
  const hash = createHash("sha256").update(JSON.stringify([classes, mean, std]));
  for (const set of [train, test]) addSet(hash, set);
  return hash.digest("hex");
}

function addSet(
  hash: ReturnType<typeof createHash>,
  { images, labels, count, channels, height, width, validFrom }: ImageSet,
): void {
  hash.update(JSON.stringify([count, channels, height, width, validFrom])).update(images);
  hash.update(new Uint8Array(labels.buffer, labels.byteOffset, labels.byteLength));
}
