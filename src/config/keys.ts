// The configuration's keys as a flat list, read from the schema: what flags, messages and help are made of.
// The schema is walked through its JSON Schema form, which is public and stable, not through zod's insides.
import { z } from "zod";
import { declaredMethods } from "../methods/table.ts";
import { primitiveNames } from "../space/primitives.ts";
import { spaceNames } from "../space/spaces.ts";
import { configSchema } from "./schema.ts";

/** What kind of value a key takes. */
export type KeyKind = "integer" | "number" | "text" | "boolean" | "list";

/** One key of the configuration. */
export interface ConfigKey {
  /** Dotted path, for example `search.batchSize`. */
  readonly path: string;
  readonly kind: KeyKind;
  readonly nullable: boolean;
  /** The allowed words of a text, or of each item of a list; undefined when any text will do. */
  readonly choices: readonly string[] | undefined;
  readonly default: unknown;
  /** Whether it is a list of numbers. */
  readonly numbers: boolean;
  readonly description: string;
  /** The allowed values in words: "a whole number, at least 1". */
  readonly expected: string;
}

/** The part of a JSON Schema node that this file reads. */
interface SchemaNode {
  type?: string | string[];
  properties?: Record<string, SchemaNode>;
  additionalProperties?: unknown;
  anyOf?: SchemaNode[];
  items?: SchemaNode;
  enum?: string[];
  /** Our mark of words that plugins add to. */
  words?: "primitives" | "spaces";
  default?: unknown;
  description?: string;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  minItems?: number;
}

let keys: readonly ConfigKey[] = [];
let words = 0;

/** Every key of the configuration in the schema's order; made anew when a plugin has added an operation or a space. */
export function configKeys(): readonly ConfigKey[] {
  const known = primitiveNames().length + spaceNames().length;
  if (words !== known) {
    words = known;
    keys = walk(z.toJSONSchema(configSchema, { io: "input" }) as SchemaNode, "");
  }
  return keys;
}

/** An option that search methods have, as a key: `search.options.partialChannels`. */
export interface OptionKey extends ConfigKey {
  /** The method whose option it is. */
  readonly method: string;
}

/** Where a method's options stand in a configuration. */
export const OPTIONS = "search.options";

/** The options of every method, or of one, in the methods' order; one that two methods have is in it twice. */
export function optionKeys(method?: string): readonly OptionKey[] {
  return declaredMethods()
    .filter(({ name }) => method === undefined || name === method)
    .flatMap(({ name, options }) =>
      walk(z.toJSONSchema(options, { io: "input" }) as SchemaNode, `${OPTIONS}.`).map((key) => ({
        ...key,
        method: name,
      })),
    );
}

/** The key at a dotted path, an option's too, or undefined. */
export function configKey(path: string): ConfigKey | undefined {
  const keys = path.startsWith(`${OPTIONS}.`) ? optionKeys() : configKeys();
  return keys.find((key) => key.path === path);
}

/** The names of the sections: `data`, `space`, `search`, `train`. */
export function configSections(): readonly string[] {
  const sections = configKeys().flatMap(({ path }) =>
    path.includes(".") ? [path.slice(0, path.indexOf("."))] : [],
  );
  return [...new Set(sections)];
}

/** The flag of a configuration key: `search.batchSize` → `--search-batch-size`. */
export function flagOf(path: string): string {
  return `--${path.replaceAll(".", "-").replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

function walk(node: SchemaNode, prefix: string): ConfigKey[] {
  return Object.entries(node.properties ?? {}).flatMap(([name, child]) => {
    if (child.properties) return walk(child, `${prefix}${name}.`);
    const isOpen = typeof child.additionalProperties === "object"; // the methods' options, which they declare
    return isOpen ? [] : [describe(child, prefix + name)];
  });
}

function describe(node: SchemaNode, path: string): ConfigKey {
  const { value, nullable } = withoutNull(node);
  const kind = kindOf(value, path);
  const choices = wordsOf(value.items) ?? wordsOf(value);
  const expected = nullable
    ? `${expectation(value, kind, choices)}, or null`
    : expectation(value, kind, choices);
  return {
    path,
    kind,
    nullable,
    choices,
    default: node.default,
    numbers: ["integer", "number"].includes(String(value.items?.type)),
    description: node.description ?? "",
    expected,
  };
}

/** The words of a text, or of an item. */
function wordsOf(node: SchemaNode | undefined): readonly string[] | undefined {
  if (node?.words === "primitives") return primitiveNames();
  return node?.words === "spaces" ? spaceNames() : node?.enum;
}

/** "Or null" is written as two types or as two nodes. */
function withoutNull(node: SchemaNode): { value: SchemaNode; nullable: boolean } {
  if (Array.isArray(node.type)) {
    const type = node.type.find((name) => name !== "null")!;
    return { value: { ...node, type }, nullable: node.type.includes("null") };
  }
  const value = node.anyOf?.find((option) => option.type !== "null") ?? node;
  return { value, nullable: value !== node };
}

function kindOf(node: SchemaNode, path: string): KeyKind {
  switch (node.type) {
    case "integer":
    case "number":
    case "boolean":
      return node.type;
    case "string":
      return "text";
    case "array":
      return "list";
    default:
      throw new Error(
        `The configuration key ${path} has the schema type ${node.type}, which has no flag or text form.`,
      );
  }
}

function expectation(node: SchemaNode, kind: KeyKind, choices: readonly string[] | undefined): string {
  switch (kind) {
    case "integer":
      return `a whole number${bounds(node)}`;
    case "number":
      return `a number${bounds(node)}`;
    case "boolean":
      return "true or false";
    case "list":
      return `a list${node.minItems ? ` of at least ${node.minItems}` : ""}${numbersIn(node)}${choices ? ` of: ${choices.join(", ")}` : ""}`;
    case "text":
      return choices ? `one of: ${choices.join(", ")}` : "a text";
  }
}

function numbersIn({ items }: SchemaNode): string {
  if (items?.type === "integer") return ` of whole numbers${bounds(items)}`;
  return items?.type === "number" ? ` of numbers${bounds(items)}` : "";
}

/** Bounds in words; the largest safe integer, which zod adds to every integer, is no bound worth a word. */
function bounds({ minimum, maximum, exclusiveMinimum, exclusiveMaximum }: SchemaNode): string {
  const words: string[] = [];
  if (minimum !== undefined && minimum !== Number.MIN_SAFE_INTEGER) words.push(`at least ${minimum}`);
  if (exclusiveMinimum !== undefined) words.push(`above ${exclusiveMinimum}`);
  if (maximum !== undefined && maximum !== Number.MAX_SAFE_INTEGER) words.push(`at most ${maximum}`);
  if (exclusiveMaximum !== undefined) words.push(`below ${exclusiveMaximum}`);
  return words.length ? `, ${words.join(" and ")}` : "";
}
