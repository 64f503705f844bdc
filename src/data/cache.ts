// Where downloads and processed data sets are kept: outside the project, shared by every run.
import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";

/**
 * The cache folder: `$DARTS_CACHE`, else `$XDG_CACHE_HOME/darts`, else `~/.cache/darts`.
 * A relative `XDG_CACHE_HOME` is ignored, as the XDG base directory specification asks.
 */
export function cacheFolder(environment: NodeJS.ProcessEnv = process.env): string {
  if (environment.DARTS_CACHE) return resolve(environment.DARTS_CACHE);
  const xdg = environment.XDG_CACHE_HOME;
  if (xdg && isAbsolute(xdg)) return join(xdg, "darts");
  return join(environment.HOME || homedir(), ".cache", "darts");
}

/** Folder of the verified download of one data set, kept to make it again without the network. */
export function downloadsFolder(cache: string, name: string): string {
  return join(cache, "downloads", name);
}

/** Folder of the processed form of one data set. */
export function storedFolder(cache: string, name: string): string {
  return join(cache, "datasets", name);
}
