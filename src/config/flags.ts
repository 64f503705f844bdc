// Command-line flags of the configuration, derived from its keys so that no name is typed twice:
// `search.batchSize` → `--search-batch-size <integer>`. They know nothing of the parser that reads them.
import { type ConfigKey, configKeys, flagOf, type OptionKey, optionKeys } from "./keys.ts";

/** A flag that sets one key. */
export interface ConfigFlag {
  /** The key's dotted path. */
  readonly path: string;
  /** The flag with its placeholder: `--search-batch-size <integer>`. */
  readonly usage: string;
  /** What it sets, its choices and its default. */
  readonly description: string;
  /** Whether it may be given several times, each adding to the list. */
  readonly repeatable: boolean;
  /** Heading under which help lists it: the key's section. */
  readonly heading: string;
}

/** The flags of every key and of every method's options, or of the given keys. */
export function configFlags(paths: "all" | readonly string[] = "all"): ConfigFlag[] {
  const flags = configKeys().map((key) => ({
    path: key.path,
    usage: `${flagOf(key.path)} <${placeholder(key)}>`,
    description: describe(key),
    heading: heading(key.path),
    repeatable: key.kind === "list",
  }));
  return [...flags, ...optionFlags()].filter(({ path }) => paths === "all" || paths.includes(path));
}

/** One flag for each option, also where several methods have it. */
function optionFlags(): ConfigFlag[] {
  const byPath = new Map<string, OptionKey[]>();
  for (const key of optionKeys()) byPath.set(key.path, [...(byPath.get(key.path) ?? []), key]);
  return [...byPath.values()].map((keys) => ({
    path: keys[0]!.path,
    usage: `${flagOf(keys[0]!.path)} <${placeholder(keys[0]!)}>`,
    description: mergeEqual(keys.map((key) => [key.method, describe(key)])),
    heading: "Options of search methods:",
    repeatable: keys[0]!.kind === "list",
  }));
}

/** "gdas: … (default: 10); snas: … (default: 1)", methods that say the same together. */
function mergeEqual(texts: readonly (readonly [method: string, text: string])[]): string {
  const methods = new Map<string, string[]>();
  for (const [method, text] of texts) methods.set(text, [...(methods.get(text) ?? []), method]);
  return [...methods].map(([text, names]) => `${names.join(", ")}: ${text}`).join("; ");
}

function placeholder({ kind, choices }: ConfigKey): string {
  if (kind === "boolean") return "true|false";
  if (kind === "text" && choices) return choices.join("|");
  return kind;
}

function describe({ kind, choices, default: value, description }: ConfigKey): string {
  const list = kind === "list" ? `, comma separated${choices ? ` (of ${choices.join(", ")})` : ""}` : "";
  const text = Array.isArray(value) ? value.join(",") : String(value);
  return `${description}${list}${value === null ? "" : ` (default: ${text})`}`;
}

function heading(path: string): string {
  const section = path.includes(".") ? path.slice(0, path.indexOf(".")) : "general";
  return `Configuration, ${section}:`;
}
