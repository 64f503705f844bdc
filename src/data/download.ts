// Verified downloads: a file reaches the downloads folder only after its SHA-256 was found right, so what
// lies there is whole, and a run that was interrupted never fetches it again.
import { existsSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { UserError } from "../errors.ts";
import { isAlive } from "../processes.ts";
import { fileChecksum } from "./checksum.ts";
import { megabytes, requireSpace, writeError } from "./disk.ts";

/** Takes one line of progress, for the user to read. */
export type Report = (line: string) => void;

/** Files that can be downloaded, and how to know that they are the right ones. */
export interface Source {
  /** What is downloaded and from where, such as "npm package x@1.0.0". */
  readonly title: string;
  /** Bytes of the download. */
  readonly bytes: number;
  /** Bytes of disk that fetching needs at most, with the client's own copies. */
  readonly diskBytes: number;
  readonly files: readonly { readonly name: string; readonly sha256: string }[];
  /** Leaves the named files in `folder`, an empty folder that is removed afterwards. */
  fetch(folder: string, signal?: AbortSignal): Promise<void>;
  /** What the user can do when the download is impossible; goes on after "Otherwise, ". */
  readonly otherwise: string;
}

/**
 * Makes sure that every file of `source` lies, verified, in `folder`; fetches only when one does not. An aborted
 * `signal` ends the fetch and leaves nothing of it.
 */
export async function ensureDownloaded(
  source: Source,
  folder: string,
  report: Report,
  signal?: AbortSignal,
): Promise<void> {
  if (await isDownloaded(source, folder)) return;
  requireSpace(folder, source.diskBytes);
  removeAbandoned(folder);
  report(`Downloading ${megabytes(source.bytes)} (${source.title}) to ${folder}`);
  let temporary: string | undefined;
  try {
    temporary = mkdtempSync(join(folder, `.fetch-${process.pid}-`));
    await source.fetch(temporary, signal);
    for (const { name, sha256 } of source.files) await requireChecksum(join(temporary, name), sha256, source);
    for (const { name } of source.files) renameSync(join(temporary, name), join(folder, name));
  } catch (error) {
    signal?.throwIfAborted();
    const known = writeError(error, folder, source.diskBytes);
    if (!(known instanceof UserError)) throw known;
    throw new UserError(`${known.message}\nOtherwise, ${source.otherwise}.`, { cause: error });
  } finally {
    if (temporary !== undefined) rmSync(temporary, { recursive: true, force: true });
  }
}

/** Whether every file of `source` lies in `folder` with the right checksum. */
export async function isDownloaded(source: Source, folder: string): Promise<boolean> {
  for (const { name, sha256 } of source.files) {
    const path = join(folder, name);
    if (!existsSync(path) || (await fileChecksum(path)) !== sha256) return false;
  }
  return true;
}

async function requireChecksum(path: string, expected: string, source: Source): Promise<void> {
  if (!existsSync(path)) {
    throw new UserError(`The download of the ${source.title} holds no file ${basename(path)}.`);
  }
  const got = await fileChecksum(path);
  if (got === expected) return;
  throw new UserError(
    `The download of the ${source.title} is not what it should be: got SHA-256 ${got} (${statSync(path).size} bytes), ` +
      `expected ${expected}. Try again; a proxy or mirror may have changed or cut it.`,
  );
}

/** Removes the temporary folders of processes that were killed; those of living ones are in use. */
function removeAbandoned(folder: string): void {
  for (const entry of readdirSync(folder)) {
    const pid = /^\.fetch-(\d+)-/.exec(entry)?.[1];
    if (pid !== undefined && !isAlive(Number(pid)))
      rmSync(join(folder, entry), { recursive: true, force: true });
  }
}
