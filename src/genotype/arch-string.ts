// Cells of NAS-Bench-201 as that benchmark writes them: a part for each node, joined by "+", and in it an operation with
// the state it reads for every state before the node: `|nor_conv_3x3~0|+|none~0|skip_connect~1|+|…~0|…~1|…~2|`.
import { nearest } from "../config/nearest.ts";
import { UserError } from "../errors.ts";
import { outputOf } from "../space/declare-space.ts";
import { findSpace } from "../space/spaces.ts";
import { cellOf, type Edge, edgesByNode, type Genotype } from "./genotype.ts";

const SPACE = "nas-bench-201";
const EXAMPLE = "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|none~1|nor_conv_1x1~2|";

/** Whether a text is meant as such a string: it begins with a bar. */
export function isArchString(text: string): boolean {
  return /^\s*\|/.test(text);
}

/** Reads the cell that such a string describes; throws a {@link UserError} that says what is wrong, and where. */
export function parseArchString(text: string): Genotype {
  const { nodes = 0, primitives, skeleton } = findSpace(SPACE);
  const parts = text.trim().split("+");
  if (parts.length !== nodes) {
    throw new UserError(
      `genotype: got ${parts.length} node${parts.length === 1 ? "" : "s"} in ${short(text)}, expected ${nodes} joined by +, ` +
        `as in ${EXAMPLE}`,
    );
  }
  const normal = cellOf(parts.map((part, node) => readNode(part, { node, primitives })));
  return { space: SPACE, normal, normalConcat: outputOf(skeleton, nodes), reduce: [], reduceConcat: [] };
}

/** The string of a cell; undefined where it is none of NAS-Bench-201 with one operation on every edge. */
export function formatArchString({ space, normal }: Genotype): string | undefined {
  if (space !== SPACE) return undefined;
  const { nodes, primitives } = findSpace(SPACE);
  const byNode = edgesByNode(normal);
  const whole =
    byNode.length === nodes &&
    byNode.every((edges, node) => edges.length === node + 1 && edges.every(([, from], i) => from === i)) &&
    byNode.flat().every(([op]) => primitives.includes(op));
  if (!whole) return undefined;
  return byNode.map((edges) => `|${edges.map(([op, from]) => `${op}~${from}`).join("|")}|`).join("+");
}

function readNode(
  part: string,
  { node, primitives }: { readonly node: number; readonly primitives: readonly string[] },
): Edge[] {
  const where = `node ${node}`;
  const inner = /^\s*\|(.*)\|\s*$/s.exec(part)?.[1];
  const words = inner?.split("|") ?? [];
  if (words.length !== node + 1) {
    const expected = Array.from({ length: node + 1 }, (_, from) => `op~${from}`).join("|");
    throw new UserError(`genotype, ${where}: got ${short(part)}, expected |${expected}|, as in ${EXAMPLE}`);
  }
  return words.map((word, from) => {
    const [, op = word, state] = /^\s*(\w+)~(\d+)\s*$/.exec(word) ?? [];
    if (state !== String(from)) {
      throw new UserError(
        `genotype, ${where}: got ${short(word)}, expected op~${from}: an operation for every state before the node, in order`,
      );
    }
    if (primitives.includes(op)) return [op, from];
    const near = nearest(op, primitives);
    throw new UserError(
      `genotype, ${where}: got the operation ${short(op)}, expected one of ${primitives.join(", ")}` +
        `${near === undefined ? "" : `; did you mean ${near}?`}`,
    );
  });
}

function short(text: string): string {
  const trimmed = text.trim();
  return JSON.stringify(trimmed.length > 60 ? `${trimmed.slice(0, 60)}…` : trimmed);
}
