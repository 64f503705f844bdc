// Files that are either whole or absent: written beside their place, flushed to the disk, then renamed.
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statfsSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { UserError } from "../errors.ts";

// One write call may not pass 2 GiB; smaller pieces cost nothing.
const PIECE = 1 << 28;

/** Writes `content` to `path` so that an interruption leaves the old file or the new one, never a part. */
export function writeFileAtomic(path: string, content: Uint8Array | string): void {
  const bytes = typeof content === "string" ? Buffer.from(content) : content;
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    mkdirSync(dirname(path), { recursive: true });
    const file = openSync(temporary, "w");
    try {
      for (let at = 0; at < bytes.length; ) {
        at += writeSync(file, bytes, at, Math.min(PIECE, bytes.length - at));
      }
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw writeError(error, path, bytes.length);
  }
}

/**
 * A full disk or a forbidden folder as a {@link UserError}; any other error as it is.
 * @param bytes how many bytes were to be written
 */
export function writeError(error: unknown, path: string, bytes: number): unknown {
  const code = (error as NodeJS.ErrnoException | null)?.code;
  const remedy = "or choose another cache folder with the environment variable DARTS_CACHE";
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new UserError(
      `The disk is full: writing ${megabytes(bytes)} to ${path} failed. Free some space, ${remedy}.`,
      { cause: error },
    );
  }
  if (code === "EACCES" || code === "EPERM" || code === "EROFS") {
    return new UserError(`Writing ${path} is not allowed (${code}). Give yourself write access, ${remedy}.`, {
      cause: error,
    });
  }
  return error;
}

/** Throws a {@link UserError} when the disk of `folder` has less than `bytes` free; makes the folder. */
export function requireSpace(folder: string, bytes: number): void {
  try {
    mkdirSync(folder, { recursive: true });
  } catch (error) {
    throw writeError(error, folder, bytes);
  }
  const { bavail, bsize } = statfsSync(folder);
  if (bavail * bsize >= bytes) return;
  throw new UserError(
    `The disk is too full: ${folder} has ${megabytes(bavail * bsize)} free, ${megabytes(bytes)} are needed. ` +
      "Free some space, or choose another cache folder with the environment variable DARTS_CACHE.",
  );
}

/** A number of bytes as people read it: "139 MB". */
export function megabytes(bytes: number): string {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${Math.round(bytes / 1e6)} MB`;
}
