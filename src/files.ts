// Files that are whole or absent: written beside their place, flushed, then renamed into it.
import {
  closeSync,
  copyFileSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import { UserError } from "./errors.ts";

/** What a file is written from: a text, bytes, or several pieces one after the other. */
export type Content = string | Uint8Array | Iterable<Uint8Array>;

let written = 0;

/** Where else a file that is written goes, and what becomes of the one that was there. */
export interface KeptBeside {
  /** The old content is kept at this path: a crash may then leave nothing at the file's own, but never at both. */
  readonly previous?: string | undefined;
  /** The new content is put at this path as well, and first: as a second name of one file where there are links. */
  readonly also?: string | undefined;
}

/**
 * Writes a file so that a reader, or a crash at any moment, finds either the old content or the new one. All paths
 * are of one folder. Throws a {@link UserError} naming the path when the disk is full or the place may not be written.
 */
export function writeAtomic(path: string, content: Content, { previous, also }: KeptBeside = {}): void {
  // In the same folder, because a rename is atomic only within one file system.
  const temporary = `${path}.${process.pid}-${written++}.tmp`;
  withPath("write", path, () => {
    try {
      writeFlushed(temporary, content);
      if (also !== undefined) putAlso(temporary, also);
      if (previous !== undefined && existsSync(path)) renameSync(path, previous);
      renameSync(temporary, path);
    } catch (error) {
      rmSync(temporary, { force: true });
      if ((error as NodeJS.ErrnoException).code === "ENOENT" && !existsSync(dirname(path)))
        throw Object.assign(new Error("the folder is gone", { cause: error }), { code: "GONE" });
      throw error;
    }
    flushFolder(dirname(path));
  });
}

/** A link takes no time and no space; what it names is never written again, only replaced. */
function putAlso(file: string, path: string): void {
  const temporary = `${path}.${process.pid}-${written++}.tmp`;
  try {
    linkOrCopy(file, temporary);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

function linkOrCopy(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch (error) {
    if (!WITHOUT_LINKS.has((error as NodeJS.ErrnoException).code)) throw error;
    copyFileSync(from, to);
    flush(to);
  }
}

/** What file systems without links say (exFAT, some network ones), and those where a file has all it may have. */
const WITHOUT_LINKS = new Set<string | undefined>(["EPERM", "ENOTSUP", "ENOSYS", "EMLINK"]);

function flush(path: string): void {
  const file = openSync(path, "r+");
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Removes what killed processes left half written in `folder`: only for who alone writes there. */
export function removeHalfWritten(folder: string): void {
  for (const name of readdirSync(folder))
    if (name.endsWith(".tmp")) rmSync(join(folder, name), { force: true });
}

/** Makes a folder and its parents; a {@link UserError} names the path where that is impossible. */
export function makeFolder(path: string): void {
  withPath("make the folder", path, () => makeFolders(path));
}

/**
 * Makes a folder and its parents. Node's own recursive mkdir tries for ever where a file system takes no new
 * folders and says ENOENT (/proc).
 */
export function makeFolders(path: string): void {
  try {
    mkdirSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST" && isFolder(path)) return;
    const parent = dirname(resolve(path));
    if (code !== "ENOENT") throw error;
    if (existsSync(parent))
      throw Object.assign(new Error("no folder can be made", { cause: error }), { code: "ENOTSUP" });
    makeFolders(parent);
    makeFolders(path);
  }
}

/** The text of a file; a {@link UserError} names the path and what it should have been. */
export function readText(path: string, what = "a text file"): string {
  return Buffer.from(readBytes(path, what)).toString("utf8");
}

/** The bytes of a file; a {@link UserError} names the path and what it should have been. */
export function readBytes(path: string, what = "a file"): Uint8Array {
  return withPath(`read (expected ${what})`, path, () => {
    // A device such as /dev/zero has no end.
    if (statSync(path).isCharacterDevice()) throw Object.assign(new Error("a device"), { code: "DEVICE" });
    return readFileSync(path);
  });
}

/** The value in a JSON file; a {@link UserError} names the path when it is missing or not JSON. */
export function readJson(path: string, what = "a JSON file"): unknown {
  const text = readText(path, what);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UserError(
      `${path} is not JSON (${(error as Error).message}); expected ${what}. Use a copy of it, or have it written anew.`,
    );
  }
}

/** Whether there is a folder at `path`. */
export function isFolder(path: string): boolean {
  return withPath("look at", path, () => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false);
}

/** Runs a file operation; what the user can mend becomes a {@link UserError} with the path and the remedy. */
export function withPath<T>(verb: string, path: string, operation: () => T): T {
  try {
    return operation();
  } catch (error) {
    const reason = reasonOf(error);
    if (reason === undefined) throw error;
    throw new UserError(`Cannot ${verb} ${path}: ${reason}`, { cause: error });
  }
}

/** What a file system's error means and what to do, where the user can mend it. */
export function reasonOf(error: unknown): string | undefined {
  const code = (error as NodeJS.ErrnoException | null)?.code;
  return code === undefined ? undefined : REASONS[code];
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: "permission denied. Choose a place you may use, or change its permissions.",
  EPERM: "the operation is not permitted. Choose a place you may use.",
  EROFS: "the file system is read-only. Choose another place.",
  ENOSPC: "no space is left on the disk. Free some and try again.",
  EDQUOT: "the disk quota is used up. Free some space and try again.",
  EFBIG: "a file may not get so large here. Raise the limit (ulimit -f) or choose another place.",
  EIO: "the disk reported an error. Check it, or choose another place.",
  ENOTSUP: "this file system takes no new folders. Choose another place.",
  ELOOP: "its links lead back to themselves. Name the file itself.",
  ERR_FS_FILE_TOO_LARGE: "it is larger than 2 GiB, more than is read at once. Name a smaller one.",
  ERR_INVALID_ARG_VALUE: "it is no path. Name a file.",
  ENOENT: "there is no such file or folder. Look for a slip in its name, or make it first.",
  GONE: "there is no such folder, or no longer. Put it back, or make it.",
  ENOTDIR: "a part of the path is a file, not a folder. Choose another path.",
  DEVICE: "it is a device, not a file. Name a file.",
  EISDIR: "it is a folder, not a file. Name a file.",
  EEXIST: "a file of that name is in the way. Move it away, or choose another name.",
  EMFILE: "too many files are open. Raise the limit (ulimit -n), or end other programs.",
  ENFILE: "too many files are open on this machine. End other programs.",
  ESTALE: "the network's file system has lost it. Mount that again, or choose another place.",
  ENAMETOOLONG: "the name is too long. Choose a shorter one.",
};

function writeFlushed(path: string, content: Content): void {
  const file = openSync(path, "wx");
  try {
    for (const piece of pieces(content)) writeAll(file, piece);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function pieces(content: Content): Iterable<Uint8Array> {
  if (typeof content === "string") return [Buffer.from(content)];
  return content instanceof Uint8Array ? [content] : content;
}

/** A write call may take only part of what it is given, and at most 2 GiB. */
function writeAll(file: number, bytes: Uint8Array): void {
  const piece = 1 << 28;
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(file, bytes, done, Math.min(piece, bytes.length - done));
  }
}

/** Makes the rename itself last; file systems that cannot flush a folder (some network ones) are let be. */
export function flushFolder(path: string): void {
  try {
    const folder = openSync(path, "r");
    try {
      fsyncSync(folder);
    } finally {
      closeSync(folder);
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "EINVAL" && code !== "EISDIR" && code !== "EPERM" && code !== "EACCES") throw error;
  }
}
