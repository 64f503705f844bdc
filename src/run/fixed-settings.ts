// Which settings of a run may change when it is resumed, and which would make it another run.
import { valueAt } from "../config/format.ts";
import { configKeys } from "../config/keys.ts";
import type { Config } from "../config/schema.ts";

/**
 * The keys that may change: the number of threads touches at most the last bits of a sum, data and plugins may have
 * moved (whether they are the same is looked at), the pace of checkpoints, the limit of memory and what is computed twice
 * change nothing, and further random cells are trained after the rest, each on its own. Everything else changes the computation: another device has another random generator,
 * and the schedules run over all epochs, so that a longer run differs from its first epochs on.
 */
export const FREE_SETTINGS: readonly string[] = [
  "threads",
  "plugin",
  "memoryLimit",
  "recompute",
  "checkpointSeconds",
  "data.path",
  "train.randomCells",
];

/** The settings that may not change, by dotted key, the method's options among them: a checkpoint keeps them. */
export function fixedSettings(config: Config): Record<string, unknown> {
  const fixed = configKeys().filter(({ path }) => !FREE_SETTINGS.includes(path));
  const options = Object.entries(config.search.options).map(([name, value]) => [
    `search.options.${name}`,
    value,
  ]);
  return Object.fromEntries([...fixed.map(({ path }) => [path, valueAt(config, path)]), ...options]);
}

/** What differs between two {@link fixedSettings}, with both values: `search.epochs is 3, was 50`. */
export function differences(
  saved: Readonly<Record<string, unknown>>,
  now: Readonly<Record<string, unknown>>,
): string[] {
  const show = (value: unknown) => (value === undefined ? "absent" : JSON.stringify(value));
  return [...new Set([...Object.keys(saved), ...Object.keys(now)])]
    .filter((key) => show(saved[key]) !== show(now[key]))
    .map((key) => `${key} is ${show(now[key])}, was ${show(saved[key])}`);
}
