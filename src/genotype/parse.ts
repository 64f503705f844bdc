// Genotypes as text: the Python form that the DARTS code prints and the JSON form that run folders hold.
// The Python form reads back in the reference code, so a cell found here can be trained there and vice versa. A cell
// whose nodes have other than two edges is written as a list for each node, in both forms:
// `normal=[[('skip_connect', 0)], [('sep_conv_3x3', 0), ('none', 1), ('max_pool_3x3', 2)]]`, which that code cannot read.
import { nearest } from "../config/nearest.ts";
import { UserError } from "../errors.ts";
import { kindsOf, outputOf } from "../space/declare-space.ts";
import { isPrimitive, primitiveNames } from "../space/primitives.ts";
import type { Skeleton } from "../space/skeleton.ts";
import { DARTS_SPACE, findSpace, genotypeSpace } from "../space/spaces.ts";
import { formatArchString, isArchString, parseArchString } from "./arch-string.ts";
import {
  allNodes,
  type CellEdges,
  cellOf,
  type Edge,
  type Genotype,
  type Inputs,
  isByNode,
  nodesOfCell,
} from "./genotype.ts";
import { readLiteral } from "./literal.ts";

/** The published spelling of each key, and ours. */
const KEYS = {
  space: "space",
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
 * Edges may also stand in a list for each node. A missing concatenation is that of all nodes. Or from NAS-Bench-201's
 * `|nor_conv_3x3~0|+|…|`. Throws a UserError that says what is wrong and where.
 */
export function parseGenotype(text: string): Genotype {
  if (isArchString(text)) return parseArchString(text);
  const start = text.search(/\bGenotype\s*\(|\{/);
  if (start < 0) {
    const got = text.trim() === "" ? "an empty text" : JSON.stringify(text.trim().slice(0, 40));
    throw new UserError(
      `genotype: got ${got}, expected Genotype(normal=[…], …), {"normal": […], …} or |op~0|+|…|`,
    );
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
      const names = ["space", "normal", "normal_concat", "reduce", "reduce_concat"];
      throw new UserError(`genotype: got the unknown key "${key}", expected ${oneOf(key, names)}`);
    }
    fields[KEYS[key as keyof typeof KEYS]] = field;
  }
  const space = fields["space"] === undefined ? DARTS_SPACE : findSpace(String(fields["space"]));
  const { skeleton } = space;
  const normal = checkCell(fields["normal"], "normal", skeleton.inputs);
  const normalConcat = checkConcat(fields["normalConcat"], "normal_concat", { cell: normal, skeleton });
  if (!kindsOf(space).includes("reduce")) {
    for (const key of ["reduce", "reduceConcat"]) checkEmpty(fields[key], key, space.name);
    return { ...genotypeSpace(space), normal, normalConcat, reduce: [], reduceConcat: [] };
  }
  const reduce = checkCell(fields["reduce"], "reduce", skeleton.inputs);
  const reduceConcat = checkConcat(fields["reduceConcat"], "reduce_concat", { cell: reduce, skeleton });
  return { ...genotypeSpace(space), normal, normalConcat, reduce, reduceConcat };
}

/** Writes a genotype on one line, in the text form of its space: NAS-Bench-201's, or that of {@link formatPython}. */
export function formatGenotype(genotype: Genotype): string {
  return formatArchString(genotype) ?? formatPython(genotype);
}

/** Writes a genotype on one line of Python, as the DARTS code prints it; a list for each node where it has to be. */
export function formatPython({ space, normal, normalConcat, reduce, reduceConcat }: Genotype): string {
  const list = (edges: readonly Edge[]) => `[${edges.map(([op, from]) => `('${op}', ${from})`).join(", ")}]`;
  const cell = (edges: CellEdges) => (isByNode(edges) ? `[${edges.map(list).join(", ")}]` : list(edges));
  const concat = (states: readonly number[]) => {
    const [first, last] = [states[0]!, states.at(-1)!];
    const consecutive = states.length > 1 && states.every((state, i) => state === first + i);
    return consecutive ? `range(${first}, ${last + 1})` : `[${states.join(", ")}]`;
  };
  return (
    `Genotype(${space === undefined ? "" : `space='${space}', `}normal=${cell(normal)}, normal_concat=${concat(normalConcat)}, ` +
    `reduce=${cell(reduce)}, reduce_concat=${concat(reduceConcat)})`
  );
}

/** Writes a genotype as JSON, one line for each of its fields. */
export function formatJson({ space, normal, normalConcat, reduce, reduceConcat }: Genotype): string {
  const named = space === undefined ? {} : { space };
  const fields = Object.entries({ ...named, normal, normalConcat, reduce, reduceConcat });
  const line = (value: unknown) => JSON.stringify(value).replaceAll(",", ", ");
  return `{\n${fields.map(([key, value]) => `  "${key}": ${line(value)}`).join(",\n")}\n}`;
}

/** A space with one kind of cell has no reduction cell. */
function checkEmpty(value: unknown, where: string, space: string): void {
  if (value === undefined || (Array.isArray(value) && value.length === 0)) return;
  throw new UserError(
    `genotype: got ${show(value)} for ${where}, expected an empty list: the space ${space} has no reduction cell`,
  );
}

function checkCell(value: unknown, where: string, inputs: Inputs): CellEdges {
  if (!Array.isArray(value)) {
    throw new UserError(
      `genotype: got ${show(value)} for ${where}, expected a list such as [('sep_conv_3x3', 1), …]`,
    );
  }
  // The first item tells which of the two forms it is: an edge starts with a name, a node's list with an edge.
  const isNested = Array.isArray(value[0]) && typeof value[0][0] !== "string";
  return isNested
    ? cellOf(value.map((edges, node) => checkNode(edges, where, { node, inputs })))
    : checkPairs(value, where, inputs);
}

/** The published form: two edges for each node. */
function checkPairs(value: readonly unknown[], where: string, inputs: Inputs): Edge[] {
  if (value.length === 0 || value.length % 2 === 1) {
    throw new UserError(
      `genotype: got ${value.length} edges in ${where}, expected two for each node; ` +
        "check whether an edge was lost when the text was copied, or give each node a list of its own",
    );
  }
  return value.map((edge: unknown, i) =>
    checkEdge(edge, `${where}[${i}]`, { node: Math.floor(i / 2), inputs }),
  );
}

/** The edges of a node that has a list of its own. */
function checkNode(value: unknown, where: string, place: NodePlace): Edge[] {
  const { node } = place;
  if (!Array.isArray(value) || value.length === 0 || typeof value[0] === "string") {
    throw new UserError(
      `genotype: got ${show(value)} at ${where}[${node}], expected a list of one or more edges for node ${node}, ` +
        "such as [('sep_conv_3x3', 1), …], as its first node has one",
    );
  }
  return value.map((edge: unknown, i) => checkEdge(edge, `${where}[${node}][${i}]`, place));
}

/** A node, counted from 0, of a cell that reads so many. */
interface NodePlace {
  readonly node: number;
  readonly inputs: Inputs;
}

function checkEdge(value: unknown, where: string, { node, inputs }: NodePlace): Edge {
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
  if (typeof from !== "number" || !Number.isInteger(from) || from < 0 || from >= node + inputs) {
    const cells = inputs === 2 ? "the two cells before (0, 1)" : "the cell before (0)";
    throw new UserError(
      `genotype: got the predecessor ${show(from)} at ${where}, expected a state from 0 to ${node + inputs - 1}: ` +
        `node ${node} reads ${cells}${node > 0 ? ` and earlier nodes (${inputs}…)` : ""}`,
    );
  }
  return [op, from];
}

function checkConcat(
  value: unknown,
  where: string,
  { cell, skeleton }: { readonly cell: CellEdges; readonly skeleton: Skeleton },
): number[] {
  const nodes = nodesOfCell(cell);
  const { inputs, output } = skeleton;
  if (value === undefined) return outputOf(skeleton, nodes);
  const states = output === "all" ? allNodes(nodes, inputs) : outputOf(skeleton, nodes);
  const isNode = (state: unknown) => states.includes(Number(state)) && Number.isInteger(state);
  if (
    !Array.isArray(value) ||
    value.length === 0 ||
    !value.every(isNode) ||
    new Set(value).size < value.length
  ) {
    throw new UserError(
      output === "all"
        ? `genotype: got ${show(value)} for ${where}, expected different states of the ${nodes} nodes, ` +
            `${inputs} to ${nodes + inputs - 1}; leave it out to concatenate all of them`
        : `genotype: got ${show(value)} for ${where}, expected [${states}], the last node; leave it out`,
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
