// Reads settings from a YAML file and remembers the line of each key, for messages.
import { readFileSync } from "node:fs";
import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from "yaml";
import { UserError } from "../errors.ts";
import { checkSettings, type Locate, type Settings, showValue } from "./check.ts";
import { configSections } from "./keys.ts";

/**
 * The settings of a YAML file, checked; an empty section (`search:` with nothing below it) is allowed.
 * Throws a {@link UserError} with `file:line` for a missing file, broken YAML, unknown keys, wrong types.
 */
export function readSettingsFile(file: string): Settings {
  const { content, document, lines } = parseFile(file);
  if (content === null) return {};
  if (typeof content !== "object" || Array.isArray(content)) {
    throw new UserError(
      `${file}:1: expected keys with values (for example "seed: 2"), got ${showValue(content)}.`,
    );
  }
  const settings = dropEmptySections(content as Settings, document.contents);
  const locate: Locate = (path) => `${file}:${lines.linePos(offsetOf(document.contents, path)).line}`;
  checkSettings(settings, locate);
  return settings;
}

/** The value of one key at the top of a YAML file, unchecked; undefined where it is not there. */
export function peekSetting(file: string, name: string): unknown {
  const { content } = parseFile(file);
  return typeof content === "object" && content !== null ? (content as Settings)[name] : undefined;
}

function parseFile(file: string) {
  const lines = new LineCounter();
  const document = parseDocument(readText(file), { lineCounter: lines, prettyErrors: false });
  const problem = document.errors[0] ?? document.warnings[0];
  if (problem)
    throw new UserError(`${file}:${lines.linePos(problem.pos[0]).line}: not valid YAML: ${problem.message}`);
  const content: unknown = document.toJS();
  return { content, document, lines };
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const reason =
      code === "ENOENT" ? "there is no such file" : code === "EISDIR" ? "it is a folder" : String(code);
    throw new UserError(`Cannot read the configuration file ${file}: ${reason}. Expected a YAML file.`);
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
