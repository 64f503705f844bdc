// A configuration whose names may be a plugin's.
import { type ConfigSources, pluginsOf, resolveConfig } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { loadPlugins } from "./load.ts";

/**
 * Loads the plugins that the sources name, then resolves the configuration; its `plugin` holds their full paths, so
 * that a run is found complete from any folder. Throws a {@link UserError} for either.
 */
export async function loadConfig(sources: ConfigSources): Promise<Config> {
  const paths = await loadPlugins(pluginsOf(sources));
  return { ...resolveConfig(sources), plugin: paths };
}
