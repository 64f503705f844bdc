// Checks one source of settings (a file, `--set`, flags) against the schema, on its own, so that a mistake
// is reported where it was written even when a later source would have overridden it.
import type { z } from "zod";
import { UserError } from "../errors.ts";
import { type ConfigKey, configKey, configKeys, configSections, OPTIONS, optionKeys } from "./keys.ts";
import { nearest } from "./nearest.ts";
import { configSchema } from "./schema.ts";

/** A tree of settings as written: sections are objects, everything else is a value. */
export type Settings = { [name: string]: unknown };

/** Settings from one place. */
export interface SettingsSource {
  readonly settings: Settings;
  readonly locate: Locate;
}

/** Says where the setting at `path` was written: `file.yaml:3`, `--set search.epochs=x`. */
export type Locate = (path: readonly (string | number)[]) => string;

/**
 * Checks a partial configuration; throws a {@link UserError} with the place, the key, what was got and
 * what was expected (or, for an unknown key, the nearest known one). The options of the search method are left to
 * {@link completeMethod}: which there are is known when the method is.
 */
export function checkSettings(settings: Settings, locate: Locate): void {
  for (const path of leafPaths(settings)) checkKnown(path, locate);
  const result = configSchema.safeParse(settings);
  if (result.success) return;
  const issue = result.error.issues[0]!;
  const path = pathOf(issue);
  const key = configKey(path.slice(0, 2).join(".")) ?? configKey(String(path[0]));
  throw new UserError(`${locate(path)}: ${explain(issue, { path, key, settings })}`);
}

/** The known keys that an unknown dotted path most likely meant, as a sentence; empty when none is near. */
export function suggestKey(path: string): string {
  const paths = [...configKeys(), ...optionKeys()].map((key) => key.path);
  const leaf = path.slice(path.lastIndexOf(".") + 1);
  const sameLeaf = paths.filter((known) => known.endsWith(`.${leaf}`));
  if (sameLeaf.length) return ` Did you mean ${sameLeaf.join(" or ")}?`;
  const near = nearest(path, [...paths, ...configSections(), OPTIONS]) ?? nearestLeaf(leaf, paths);
  return near ? ` Did you mean ${near}?` : " `darts presets paper` lists every key.";
}

/** A value as a message shows it, short and with its kind. */
export function showValue(value: unknown): string {
  if (value === undefined) return "nothing";
  if (Array.isArray(value)) return `the list ${shorten(JSON.stringify(value))}`;
  if (typeof value === "object" && value !== null) return `the section ${shorten(JSON.stringify(value))}`;
  return typeof value === "string" ? `the text ${shorten(JSON.stringify(value))}` : String(value);
}

function* leafPaths(settings: Settings): Generator<string[]> {
  for (const [name, value] of Object.entries(settings)) {
    if (isSection(value) && configSections().includes(name)) {
      for (const [key, inner] of Object.entries(value)) {
        if (`${name}.${key}` !== OPTIONS || !isSection(inner)) yield [name, key];
      }
    } else yield [name];
  }
}

function checkKnown(path: readonly string[], locate: Locate): void {
  const dotted = path.join(".");
  const isNested = path.length === dotted.split(".").length; // not the one word "search.epochs"
  if (isNested && (configKey(dotted) || dotted === OPTIONS || configSections().includes(dotted))) return;
  const depth = dotted.split(".").length - 1;
  const nested =
    configKey(dotted) && `Write it nested: ${dotted.replaceAll(".", ": { ")}: … ${"}".repeat(depth)}.`;
  throw new UserError(`${locate(path)}: unknown key ${dotted}.${nested ? ` ${nested}` : suggestKey(dotted)}`);
}

/** What is wrong, in a sentence: got, expected. `path` leads from the top of `settings` to the mistake. */
export function explain(
  issue: z.core.$ZodIssue,
  {
    path,
    key,
    settings,
  }: { path: readonly (string | number)[]; key: ConfigKey | undefined; settings: Settings },
): string {
  const value = path.reduce<unknown>(
    (at, step) => (at as Record<string | number, unknown>)?.[step],
    settings,
  );
  const name = path
    .map((step) => (typeof step === "number" ? `[${step}]` : step))
    .join(".")
    .replaceAll(".[", "[");
  if (!key) return `${name} is a section of keys, got ${showValue(value)}. Write its keys indented below it.`;
  const isItem = key.kind === "list" && typeof path.at(-1) === "number";
  const isWord = key.choices !== undefined && (isItem || key.kind === "text");
  if (issue.code === "custom" && !isWord) return `${name}: ${issue.message}, got ${showValue(value)}.`;
  return `${name}: expected ${expectedAt(key, path)}, got ${showValue(value)}.${suggestChoice(key, value)}`;
}

/** Inside a list the expectation is about the item, not about the list. */
function expectedAt(key: ConfigKey, path: readonly (string | number)[]): string {
  const isItem = key.kind === "list" && typeof path.at(-1) === "number";
  return isItem && key.choices ? `one of: ${key.choices.join(", ")}` : key.expected;
}

function suggestChoice(key: ConfigKey, value: unknown): string {
  const near = typeof value === "string" && key.choices ? nearest(value, key.choices) : undefined;
  const what = { "space.primitives": "operations", "space.name": "spaces" }[key.path];
  const plugin = what && typeof value === "string" ? ` A plugin's ${what} come with --plugin FILE.` : "";
  return near ? ` Did you mean ${near}?` : plugin;
}

function nearestLeaf(leaf: string, paths: readonly string[]): string | undefined {
  const leaves = paths.map((path) => path.slice(path.lastIndexOf(".") + 1));
  const near = nearest(leaf, leaves);
  return near === undefined ? undefined : paths[leaves.indexOf(near)];
}

/** The path of an issue, in the schema that found it. */
export function pathOf(issue: z.core.$ZodIssue): (string | number)[] {
  return issue.path.map((step) => (typeof step === "symbol" ? String(step) : step));
}

function isSection(value: unknown): value is Settings {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function shorten(text: string): string {
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
