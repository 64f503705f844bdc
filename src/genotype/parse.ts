// Genotypes as text: the Python form that the DARTS code prints and the JSON form that run folders hold.
// The Python form reads back in the reference code, so a cell found here can be trained there and vice versa. A cell
// whose nodes have other than two edges is written as a list for each node, in both forms:
// `normal=[[('skip_connect', 0)], [('sep_conv_3x3', 0), ('none', 1), ('max_pool_3x3', 2)]]`, which that code cannot read.
import { nearest } from "../config/nearest.ts";
import { UserError } from "../errors.ts";
import { isPrimitive, primitiveNames } from "../space/primitives.ts";
import {
  allNodes,
  type CellEdges,
  cellOf,
  type Edge,
  type Genotype,
  isByNode,
  nodesOfCell,
} from "./genotype.ts";
import { readLiteral } from "./literal.ts";

/** The published spelling of each key, and ours. */
const KEYS = {
  normal: "normal",
  normal_concat: "normalConcat",
  normalConcat: "normalConcat",
  reduce: "reduce",
  reduce_concat: "reduceConcat",
  reduceConcat: "reduceConcat",
} as const;

/**
 * Reads a genotype from `Genotype(normal=[('sep_conv_3x3', 1), …], normal_concat=range(2, 6), …)`, also after
 * `NAME =` or the stamp of a log line, or from JSON `{"normal": [["sep_conv_3x3", 1], …], …}`.
 * Edges may also stand in a list for each node. A missing concatenation is that of all nodes. Throws a UserError that says what is wrong and where.
 */
export function parseGenotype(text: string): Genotype {
  const start = text.search(/\bGenotype\s*\(|\{/);
  if (start < 0) {
    const got = text.trim() === "" ? "an empty text" : JSON.stringify(text.trim().slice(0, 40));
    throw new UserError(`genotype: got ${got}, expected Genotype(normal=[…], …) or {"normal": […], …}`);
  }
  // What stands before is blanked rather than cut, so that positions in messages are those of the text.
  return checkGenotype(readLiteral(text.slice(0, start).replace(/\S/g, " ") + text.slice(start)));
}

/** Checks a genotype that came as a plain object, such as parsed JSON; UserError as {@link parseGenotype}. */
export function checkGenotype(value: unknown): Genotype {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new UserError(`genotype: got ${show(value)}, expected an object with "normal" and "reduce"`);
  }
  const fields: Record<string, unknown> = {};
  for (const [key, field] of Object.entries(value)) {
    if (!Object.hasOwn(KEYS, key)) {
      const names = ["normal", "normal_concat", "reduce", "reduce_concat"];
      throw new UserError(`genotype: got the unknown key "${key}", expected ${oneOf(key, names)}`);
    }
    fields[KEYS[key as keyof typeof KEYS]] = field;
  }
  const normal = checkCell(fields["normal"], "normal");
  const reduce = checkCell(fields["reduce"], "reduce");
  return {
    normal,
    normalConcat: checkConcat(fields["normalConcat"], nodesOfCell(normal), "normal_concat"),
    reduce,
    reduceConcat: checkConcat(fields["reduceConcat"], nodesOfCell(reduce), "reduce_concat"),
  };
}

/** Writes a genotype on one line of Python, as the DARTS code prints it; a list for each node where it has to be. */
export function formatPython({ normal, normalConcat, reduce, reduceConcat }: Genotype): string {
  const list = (edges: readonly Edge[]) => `[${edges.map(([op, from]) => `('${op}', ${from})`).join(", ")}]`;
  const cell = (edges: CellEdges) => (isByNode(edges) ? `[${edges.map(list).join(", ")}]` : list(edges));
  const concat = (states: readonly number[]) => {
    const [first, last] = [states[0]!, states.at(-1)!];
    const consecutive = states.length > 1 && states.every((state, i) => state === first + i);
    return consecutive ? `range(${first}, ${last + 1})` : `[${states.join(", ")}]`;
  };
  return (
    `Genotype(normal=${cell(normal)}, normal_concat=${concat(normalConcat)}, ` +
    `reduce=${cell(reduce)}, reduce_concat=${concat(reduceConcat)})`
  );
}

/** Writes a genotype as JSON, one line for each of its four fields. */
export function formatJson({ normal, normalConcat, reduce, reduceConcat }: Genotype): string {
  const fields = Object.entries({ normal, normalConcat, reduce, reduceConcat });
  const line = (value: unknown) => JSON.stringify(value).replaceAll(",", ", ");
  return `{\n${fields.map(([key, value]) => `  "${key}": ${line(value)}`).join(",\n")}\n}`;
}

function checkCell(value: unknown, where: string): CellEdges {
  if (!Array.isArray(value)) {
    throw new UserError(
      `genotype: got ${show(value)} for ${where}, expected a list such as [('sep_conv_3x3', 1), …]`,
    );
  }
  // The first item tells which of the two forms it is: an edge starts with a name, a node's list with an edge.
  const isNested = Array.isArray(value[0]) && typeof value[0][0] !== "string";
  return isNested
    ? cellOf(value.map((edges, node) => checkNode(edges, where, node)))
    : checkPairs(value, where);
}

/** The published form: two edges for each node. */
function checkPairs(value: readonly unknown[], where: string): Edge[] {
  if (value.length === 0 || value.length % 2 === 1) {
    throw new UserError(
      `genotype: got ${value.length} edges in ${where}, expected two for each node; ` +
        "check whether an edge was lost when the text was copied, or give each node a list of its own",
    );
  }
  return value.map((edge: unknown, i) => checkEdge(edge, `${where}[${i}]`, Math.floor(i / 2)));
}

/** The edges of a node that has a list of its own. */
function checkNode(value: unknown, where: string, node: number): Edge[] {
  if (!Array.isArray(value) || value.length === 0 || typeof value[0] === "string") {
    throw new UserError(
      `genotype: got ${show(value)} at ${where}[${node}], expected a list of one or more edges for node ${node}, ` +
        "such as [('sep_conv_3x3', 1), …], as its first node has one",
    );
  }
  return value.map((edge: unknown, i) => checkEdge(edge, `${where}[${node}][${i}]`, node));
}

function checkEdge(value: unknown, where: string, node: number): Edge {
  if (!Array.isArray(value) || value.length !== 2) {
    throw new UserError(
      `genotype: got ${show(value)} at ${where}, expected a pair such as ('sep_conv_3x3', 1)`,
    );
  }
  const [op, from] = value as [unknown, unknown];
  if (!isPrimitive(op)) {
    throw new UserError(
      `genotype: got the operation ${show(op)} at ${where}, expected ${oneOf(op, primitiveNames())}. ` +
        "An operation of a plugin is known once that is loaded: --plugin FILE",
    );
  }
  if (typeof from !== "number" || !Number.isInteger(from) || from < 0 || from > node + 1) {
    throw new UserError(
      `genotype: got the predecessor ${show(from)} at ${where}, expected a state from 0 to ${node + 1}: ` +
        `node ${node} reads the two cells before (0, 1)${node > 0 ? " and earlier nodes (2…)" : ""}`,
    );
  }
  return [op, from];
}

function checkConcat(value: unknown, nodes: number, where: string): number[] {
  if (value === undefined) return allNodes(nodes);
  const isNode = (state: unknown) =>
    Number.isInteger(state) && 2 <= Number(state) && Number(state) < nodes + 2;
  if (
    !Array.isArray(value) ||
    value.length === 0 ||
    !value.every(isNode) ||
    new Set(value).size < value.length
  ) {
    throw new UserError(
      `genotype: got ${show(value)} for ${where}, expected different states of the ${nodes} nodes, ` +
        `2 to ${nodes + 1}; leave it out to concatenate all of them`,
    );
  }
  return value as number[];
}

/** "one of a, b, c; did you mean b?" */
function oneOf(got: unknown, names: readonly string[]): string {
  const near = typeof got === "string" ? nearest(got, names) : undefined;
  return `one of ${names.join(", ")}${near === undefined ? "" : `; did you mean ${near}?`}`;
}

function show(value: unknown): string {
  if (value === undefined) return "nothing";
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
