// Files that are whole or absent: written beside their place, flushed, then renamed into it.
import {
  closeSync,
  existsSync,
  fsyncSync,
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

/**
 * Writes a file so that a reader, or a crash at any moment, finds either the old content or the new one. With
 * `previous`, the old content is kept there: a crash may then leave nothing at `path`, but never nothing at both.
 * Throws a {@link UserError} naming the path when the disk is full or the place may not be written.
 */
export function writeAtomic(path: string, content: Content, previous?: string): void {
  // In the same folder, because a rename is atomic only within one file system.
  const temporary = `${path}.${process.pid}-${written++}.tmp`;
  withPath("write", path, () => {
    try {
      writeFlushed(temporary, content);
      if (previous !== undefined && existsSync(path)) renameSync(path, previous);
      renameSync(temporary, path);
    } catch (error) {
      rmSync(temporary, { force: true });
      throw error;
    }
    flushFolder(dirname(path));
  });
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
    throw new UserError(`${path} is not JSON (${(error as Error).message}); expected ${what}.`);
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
  ERR_FS_FILE_TOO_LARGE: "it is larger than 2 GiB, more than is read at once.",
  ERR_INVALID_ARG_VALUE: "it is no path.",
  ENOENT: "there is no such file or folder.",
  ENOTDIR: "a part of the path is a file, not a folder.",
  DEVICE: "it is a device, not a file.",
  EISDIR: "it is a folder, not a file.",
  EEXIST: "a file of that name is in the way.",
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
