// Reads settings from a YAML file and remembers the place of each key, for messages.
import { type Document, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from "yaml";
import { UserError } from "../errors.ts";
import { readText } from "../files.ts";
import { checkSettings, type Locate, type Settings, type SettingsSource, showValue } from "./check.ts";
import { configSections } from "./keys.ts";
import { unparsable } from "./shallow.ts";

/**
 * The settings of a YAML file, checked; an empty section (`search:` with nothing below it) is allowed.
 * Throws a {@link UserError} with `file:line:column` for broken YAML, unknown keys and wrong types.
 */
export function readSettingsFile(file: string): SettingsSource {
  const { content, document, at } = parseFile(file);
  if (content === null) return { settings: {}, locate: () => file };
  if (typeof content !== "object" || Array.isArray(content)) {
    throw new UserError(
      `${at(document.contents?.range?.[0] ?? 0)}: expected keys with values (for example "seed: 2"), got ${showValue(content)}.`,
    );
  }
  const settings = dropEmptySections(content as Settings, document.contents);
  const locate: Locate = (path) => at(offsetOf(document.contents, path));
  checkSettings(settings, locate);
  return { settings, locate };
}

/** The value of one key at the top of a YAML file, unchecked; undefined where it is not there. */
export function peekSetting(file: string, name: string): unknown {
  const { content } = parseFile(file);
  return typeof content === "object" && content !== null ? (content as Settings)[name] : undefined;
}

function parseFile(file: string) {
  const text = readText(file, "a YAML file of settings");
  const lines = new LineCounter();
  const shape = unparsable(text);
  if (shape) {
    const before = text.slice(0, shape.at).split("\n");
    throw new UserError(
      `${file}:${before.length}:${before.at(-1)!.length + 1}: no settings: ${shape.problem}. Mend that line.`,
    );
  }
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  const problem = document.errors[0] ?? document.warnings[0];
  if (problem)
    throw new UserError(
      `${at(problem.pos[0])}: not valid YAML: ${problem.message.replace(/\.$/, "")}. Mend that line.`,
    );

  return { content: plainValue(document, file), document, at };
}

/** The parser stops aliases that stand for millions of nodes (a "billion laughs"). */
function plainValue(document: Document, file: string): unknown {
  try {
    return document.toJS();
  } catch (error) {
    throw new UserError(`${file}: not valid YAML: ${(error as Error).message}. Write the values out.`);
  }
}

/** YAML gives null for a section whose keys are all commented out. */
function dropEmptySections(settings: Settings, root: Node | null): Settings {
  const isEmpty = (name: string) => {
    const value = isMap(root) ? root.get(name, true) : undefined;
    return configSections().includes(name) && isScalar(value) && value.value === null && !value.source;
  };
  return Object.fromEntries(Object.entries(settings).filter(([name]) => !isEmpty(name)));
}

/** Where a key (or a list's item) starts in the text; the nearest enclosing place when the path ends early. */
function offsetOf(root: Node | null, path: readonly (string | number)[]): number {
  let node: unknown = root;
  let offset = root?.range?.[0] ?? 0;
  for (const step of path) {
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => String(isScalar(key) ? key.value : key) === step);
      if (!pair) break;
      offset = (pair.key as Node).range?.[0] ?? offset;
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(step)];
      offset = (node as Node | undefined)?.range?.[0] ?? offset;
    } else break;
  }
  return offset;
}
