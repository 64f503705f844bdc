// What the YAML parser must not be given: it recurses into nested text, and some hundred brackets keep it busy for
// minutes or end the process. Settings are nested three deep.

const MOST_NESTED = 20;
const MOST_CHARACTERS = 1_000_000;

/** Why `text` cannot be settings, from its shape alone, and where; undefined when it is worth parsing. */
export function unparsable(text: string): { readonly problem: string; readonly at: number } | undefined {
  if (text.length > MOST_CHARACTERS) {
    return { problem: `it has ${text.length} characters, at most ${MOST_CHARACTERS} are read`, at: 0 };
  }
  const at = firstTooDeep(text);
  return at < 0 ? undefined : { problem: `it is nested more than ${MOST_NESTED} deep`, at };
}

/** Brackets, indicators in a row (`- - -`) and indentation; brackets in quotes count too, and do no harm. */
function firstTooDeep(text: string): number {
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === "[" || character === "{") depth++;
    else if (character === "]" || character === "}") depth = Math.max(0, depth - 1);
    if (depth > MOST_NESTED) return at;
  }
  return text.search(INDICATORS);
}

const INDICATORS = new RegExp(`^(?: {${4 * MOST_NESTED}}| *(?:[-?:][ \\t]+){${MOST_NESTED}})`, "m");
