// Room on the disk for the cache: asked for before a download, and named when it runs out.
import { rmSync, statfsSync } from "node:fs";
import { dirname } from "node:path";
import { UserError } from "../errors.ts";
import { makeFolders, reasonOf, writeAtomic } from "../files.ts";

/** Writes a file of the cache, whole or not at all, making its folder; errors say how to move the cache. */
export function writeCached(path: string, content: Uint8Array | string): void {
  try {
    makeFolders(dirname(path));
    writeAtomic(path, content);
  } catch (error) {
    // The general message of writeAtomic knows nothing of the cache; its cause is the system's own error.
    throw writeError((error as Error).cause ?? error, path, content.length);
  }
}

/** Removes a file of the cache, if it is there; errors say how to move the cache. */
export function removeCached(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch (error) {
    throw writeError(error, path, 0);
  }
}

/**
 * What a file system refused as a {@link UserError} that says how to move the cache; any other error as it is.
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
  const reason = reasonOf(error);
  return reason === undefined
    ? error
    : new UserError(`Cannot write ${path}: ${reason} The environment variable DARTS_CACHE moves the cache.`, {
        cause: error,
      });
}

/** Throws a {@link UserError} when the disk of `folder` has less than `bytes` free; makes the folder. */
export function requireSpace(folder: string, bytes: number): void {
  try {
    makeFolders(folder);
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
