// A reader of the data literals that Python and JSON have in common, and of Python's `range(a, b)` and
// `Name(key=value)`: enough for every published way of writing a genotype down, and nothing is evaluated.
import { UserError } from "../errors.ts";

interface Token {
  readonly kind: "name" | "string" | "number" | "mark" | "end";
  readonly text: string;
  readonly at: number;
}

const TOKEN =
  /\s*(?:(?<name>[A-Za-z_]\w*)|"(?<double>[^"\\\n]*)"|'(?<single>[^'\\\n]*)'|(?<number>-?\d+)|(?<mark>[()[\]{},=:]))/y;

/** Brackets within each other; a genotype has four. */
const MOST_DEPTH = 32;
/** The longest `range`. */
const MOST_STATES = 1000;

/**
 * Reads one literal: strings, integers, lists, tuples (as arrays), `range` (as an array), and objects written
 * `{"key": value}` or `Name(key=value)`. Throws a UserError that names the line, the column and the word.
 */
export function readLiteral(text: string): unknown {
  const tokens = tokenize(text);
  let next = 0;
  let depth = 0;

  function fail(expected: string): never {
    const { kind, text: word, at } = tokens[next]!;
    const got = kind === "end" ? "the end of the text" : JSON.stringify(word);
    throw new UserError(`genotype, ${position(text, at)}: got ${got}, expected ${expected}`);
  }

  function accept(mark: string): boolean {
    const found = tokens[next]!.kind === "mark" && tokens[next]!.text === mark;
    if (found) next++;
    return found;
  }

  /** Items up to `close`, separated by commas, the last of which may be followed by one too. */
  function items<T>(close: string, item: () => T): T[] {
    const read: T[] = [];
    while (!accept(close)) {
      read.push(item());
      if (accept(",")) continue;
      if (accept(close)) break;
      fail(`"," or "${close}"`);
    }
    return read;
  }

  function field(separator: string): [string, unknown] {
    const key = tokens[next]!;
    if (key.kind !== (separator === "=" ? "name" : "string")) {
      fail(separator === "=" ? "a name such as normal=" : 'a quoted key such as "normal"');
    }
    next++;
    if (!accept(separator)) fail(`"${separator}" after ${key.text}`);
    return [key.text, value()];
  }

  function range(): number[] {
    const arguments_ = items(")", value);
    const [first, last] = arguments_.length === 1 ? [0, arguments_[0]] : arguments_;
    if (
      arguments_.length > 2 ||
      Number(last) - Number(first) > MOST_STATES ||
      typeof first !== "number" ||
      typeof last !== "number"
    ) {
      next--;
      fail(`range with one or two integers, of at most ${MOST_STATES} states, such as range(2, 6)`);
    }
    return Array.from({ length: Math.max(0, last - first) }, (_, i) => first + i);
  }

  function value(): unknown {
    if (++depth > MOST_DEPTH) fail(`at most ${MOST_DEPTH} brackets within each other`);
    const read = atDepth();
    depth--;
    return read;
  }

  function atDepth(): unknown {
    const token = tokens[next]!;
    if (token.kind === "string" || token.kind === "number") {
      next++;
      return token.kind === "number" ? Number(token.text) : token.text;
    }
    if (token.kind === "name") {
      next++;
      if (!accept("(")) fail(`"(" after ${token.text}`);
      return token.text === "range" ? range() : Object.fromEntries(items(")", () => field("=")));
    }
    if (accept("[")) return items("]", value);
    if (accept("(")) return items(")", value);
    if (accept("{")) return Object.fromEntries(items("}", () => field(":")));
    return fail("a list, a tuple, a string or an integer");
  }

  const read = value();
  if (tokens[next]!.kind !== "end") fail("nothing more");
  return read;
}

function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  const end = text.trimEnd().length;
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < end) {
    const from = TOKEN.lastIndex;
    const { name, double, single, number, mark } = TOKEN.exec(text)?.groups ?? {};
    const word = name ?? double ?? single ?? number ?? mark;
    if (word === undefined) {
      const at = from + text.slice(from).search(/\S/);
      throw new UserError(
        `genotype, ${position(text, at)}: got ${JSON.stringify(text.slice(at, at + 12))}, expected ` +
          "a name, a quoted string, an integer or one of ( ) [ ] { } , = :",
      );
    }
    const kind = name ? "name" : number ? "number" : mark ? "mark" : "string";
    tokens.push({ kind, text: word, at: from + text.slice(from).search(/\S/) });
  }
  tokens.push({ kind: "end", text: "", at: end });
  return tokens;
}

function position(text: string, at: number): string {
  const before = text.slice(0, at).split("\n");
  return `line ${before.length}, column ${before.at(-1)!.length + 1}`;
}
