// Where downloads and processed data sets are kept: outside the project, shared by every run.
import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import { UserError } from "../errors.ts";

/**
 * The cache folder: `$DARTS_CACHE`, else `$XDG_CACHE_HOME/darts`, else `~/.cache/darts`.
 * A relative `XDG_CACHE_HOME` is ignored, as the XDG base directory specification asks. Throws a {@link UserError} for
 * a user without a home folder.
 */
export function cacheFolder(environment: NodeJS.ProcessEnv = process.env): string {
  if (environment.DARTS_CACHE) return resolve(environment.DARTS_CACHE);
  const xdg = environment.XDG_CACHE_HOME;
  if (xdg && isAbsolute(xdg)) return join(xdg, "darts");
  return join(environment.HOME || homeOfUser(), ".cache", "darts");
}

/** A container's user may have neither the variable nor an entry among the users. */
function homeOfUser(): string {
  try {
    return homedir();
  } catch (error) {
    throw new UserError(
      "You have no home folder to keep data in: HOME is not set, and the system knows none for this user. " +
        "Name a folder in the environment variable DARTS_CACHE.",
      { cause: error },
    );
  }
}

/** Folder of the verified download of one data set, kept to make it again without the network. */
export function downloadsFolder(cache: string, name: string): string {
  return join(cache, "downloads", name);
}

/** Folder of the processed form of one data set. */
export function storedFolder(cache: string, name: string): string {
  return join(cache, "datasets", name);
}
