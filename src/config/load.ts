// A run's configuration from its sources, weakest first: preset < YAML file < `--set` < flags.
import { parse } from "yaml";
import { UserError } from "../errors.ts";
import { checkSettings, type Locate, type Settings, type SettingsSource, suggestKey } from "./check.ts";
import { peekSetting, readSettingsFile } from "./file.ts";
import { type ConfigKey, configKey, configSections, flagOf, OPTIONS } from "./keys.ts";
import { completeMethod } from "./method-settings.ts";
import { findPreset } from "./presets.ts";
import { type Config, configSchema } from "./schema.ts";
import { unparsable } from "./shallow.ts";
import { completeSpace } from "./space-settings.ts";

/** Where settings come from; each source is optional. */
export interface ConfigSources {
  /** Name of a preset. */
  readonly preset?: string | undefined;
  /** Path of a YAML file. */
  readonly file?: string | undefined;
  /** `key=value` pairs; a value is YAML. */
  readonly set?: readonly string[];
  /** Values by dotted key, for example `{"search.epochs": "3"}`; a text is read as on the command line. */
  readonly flags?: Readonly<Record<string, unknown>>;
}

/**
 * The whole configuration: defaults, then preset, file, `--set` and flags over them. Throws a
 * {@link UserError} that says where the mistake was written, what was got and what was expected.
 */
export function resolveConfig({ preset, file, set = [], flags = {} }: ConfigSources): Config {
  const sources: SettingsSource[] = [];
  if (preset !== undefined) {
    sources.push({ settings: findPreset(preset).settings as Settings, locate: () => `--preset ${preset}` });
  }
  if (file !== undefined) sources.push(readSettingsFile(file));
  for (const assignment of set) sources.push(readAssignment(assignment));
  for (const [path, value] of Object.entries(flags)) {
    if (value !== undefined) sources.push(readFlag(path, value));
  }
  const merged = sources.reduce((weak, { settings }) => merge(weak, settings), {} as Settings);
  return completeSettings(merged, locateIn(sources));
}

/**
 * Settings that are checked one by one, made whole: with what the named space and the method say, and the defaults.
 * Throws a {@link UserError} with the place of what does not go together.
 */
export function completeSettings(settings: Settings, locate: Locate): Config {
  return configSchema.parse(completeMethod(completeSpace(settings, locate), locate));
}

/**
 * The plugins that the sources name. They are asked for before anything else is checked: other keys may hold names
 * that only a loaded plugin makes known.
 */
export function pluginsOf({ file, set = [], flags = {} }: ConfigSources): string[] {
  const sources: Settings[] = [];
  if (file !== undefined) {
    const plugin = peekSetting(file, "plugin");
    if (plugin !== undefined) {
      checkSettings({ plugin }, () => file);
      sources.push({ plugin });
    }
  }
  for (const assignment of set)
    if (/^\s*plugin\s*=/.test(assignment)) sources.push(readAssignment(assignment).settings);
  if (flags["plugin"] !== undefined) sources.push(readFlag("plugin", flags["plugin"]).settings);
  return (sources.at(-1)?.["plugin"] ?? []) as string[];
}

/** The place of the strongest source that has a setting there. */
function locateIn(sources: readonly SettingsSource[]): Locate {
  return (path) => {
    const from = sources.findLast(({ settings }) => {
      const value = path.reduce<unknown>((at, step) => (at as Settings | undefined)?.[step], settings);
      return value !== undefined;
    });
    return from?.locate(path) ?? "the configuration";
  };
}

function readAssignment(assignment: string): SettingsSource {
  const equals = assignment.indexOf("=");
  const path = assignment.slice(0, equals).trim();
  if (equals < 1) {
    throw new UserError(`--set ${assignment}: expected key=value, for example --set search.epochs=3.`);
  }
  const key = configKey(path);
  if (!key) {
    const isSection = configSections().includes(path) || path === OPTIONS;
    const advice = isSection ? ` ${path} is a section: name one of its keys.` : suggestKey(path);
    throw new UserError(`--set ${assignment}: unknown key ${path}.${advice}`);
  }
  return checked(key, readValue(key, assignment.slice(equals + 1)), `--set ${assignment}`);
}

function readFlag(path: string, value: unknown): SettingsSource {
  const key = configKey(path);
  if (!key) throw new Error(`There is no configuration key ${path} for a flag.`);
  return checked(key, typeof value === "string" ? readValue(key, value) : value, `${flagOf(path)} ${value}`);
}

/**
 * A value from the command line: YAML, but a text key takes the text as it stands (`data.name=1`), and a
 * list may be written without brackets (`none,skip_connect`).
 */
function readValue(key: ConfigKey, text: string): unknown {
  const value = parseYaml(text);
  if (key.nullable && value === null) return null;
  if (key.kind === "text") return typeof value === "string" ? value : text;
  if (key.kind === "list" && text.trim() === "") return [];
  if (key.kind === "list" && typeof value === "string")
    return value.split(",").map((item) => readItem(key, item));
  if (key.kind === "list" && key.numbers && typeof value === "number") return [value];
  return value ?? text;
}

function readItem({ numbers }: ConfigKey, item: string): unknown {
  const text = item.trim();
  return numbers ? parseYaml(text) : text;
}

function parseYaml(text: string): unknown {
  if (unparsable(text)) return text;
  try {
    return parse(text, { logLevel: "silent" });
  } catch {
    return text; // not YAML: the schema then says what was expected
  }
}

function checked(key: ConfigKey, value: unknown, where: string): SettingsSource {
  const settings = key.path
    .split(".")
    .reduceRight<unknown>((inner, name) => ({ [name]: inner }), value) as Settings;
  const locate = () => where;
  checkSettings(settings, locate);
  return { settings, locate };
}

/** Sections are joined, and so are the method's options; lists are replaced. */
function merge(weak: Settings, strong: Settings, under = ""): Settings {
  const merged: Settings = { ...weak };
  for (const [name, value] of Object.entries(strong)) {
    const isSection = [...configSections(), OPTIONS].includes(under + name);
    merged[name] = isSection
      ? merge((merged[name] ?? {}) as Settings, value as Settings, `${under}${name}.`)
      : value;
  }
  return merged;
}
