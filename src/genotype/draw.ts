// Drawings of a derived cell: as a picture, inputs on the left and the concatenation on the right as in the
// figures of the DARTS paper, and as lines for the terminal. Graphviz, which is WebAssembly, lays the picture
// out and is loaded on the first call only.
import pc from "picocolors";
import { addedPrimitive, type Primitive } from "../space/primitives.ts";
import { type CellEdges, type Edge, edgesByNode } from "./genotype.ts";

/** Colours of the operations' families; those of the picture are dark enough to read as text on white. */
const FAMILIES = [
  { prefix: "sep_conv", colour: "#1d5fa8", terminal: "blue" },
  { prefix: "dil_conv", colour: "#7a3e9d", terminal: "magenta" },
  { prefix: "group_conv", colour: "#0b7285", terminal: "cyan" },
  { prefix: "norm_max_pool", colour: "#b35309", terminal: "yellow" },
  { prefix: "conv", colour: "#0b7285", terminal: "cyan" },
  { prefix: "max_pool", colour: "#b35309", terminal: "yellow" },
  { prefix: "avg_pool", colour: "#b35309", terminal: "yellow" },
  { prefix: "skip_connect", colour: "#2b7a3d", terminal: "green" },
  { prefix: "none", colour: "#6b7280", terminal: "gray" },
] as const;

const INK = "#24292f";

/** The colour in which an operation is drawn (CSS notation), the same for all operations of a family. */
export function opColour(op: Primitive): string {
  return familyOf(op).colour;
}

/** Draws a cell as an `<svg>` element of its own size; the same cell always gives the same text. */
export async function drawCellSvg(
  cell: CellEdges,
  concat: readonly number[],
  title?: string,
): Promise<string> {
  const { instance } = await import("@viz-js/viz");
  const svg = (await instance()).renderString(cellDot(cell, concat, title), { format: "svg" });
  // Only the element, and without ids, so that a page can hold several: the XML prologue and Graphviz's
  // comments have no place there.
  const element = svg.slice(svg.indexOf("<svg")).replaceAll(/<!--.*?-->\n?/gs, "");
  return `${element.replaceAll(/<g id="[^"]*"/g, "<g").trimEnd()}\n`;
}

/** The Graphviz source of {@link drawCellSvg}'s picture, for those who want to change its looks. */
export function cellDot(cell: CellEdges, concat: readonly number[], title?: string): string {
  const inputs = [0, 1].map(
    (state) => `  ${state} [label=${cellName(`k&#8722;${2 - state}`)}, fillcolor="#dff1e3", color="#6fae7f"]`,
  );
  const nodes = edgesByNode(cell).flatMap((edges, node) => {
    const arrows = edges.map(([op, from]) => {
      const colour = opColour(op);
      const style = op === "none" ? ", style=dashed" : "";
      return `  ${from} -> ${node + 2} [label=" ${op} ", color="${colour}", fontcolor="${colour}"${style}]`;
    });
    return [`  ${node + 2} [label="${node}", fillcolor="#e3eefa", color="#7fa6d1"]`, ...arrows];
  });
  return [
    `digraph ${quote(title ?? "cell")} {`,
    '  graph [rankdir=LR, bgcolor=white, pad=0.25, nodesep=0.35, ranksep=0.55, fontname="Helvetica", fontsize=15,',
    `    fontcolor="${INK}", labelloc=t${title === undefined ? "" : `, label=${quote(title)}`}]`,
    '  node [shape=box, style="rounded,filled", penwidth=1.2, fontname="Helvetica", fontsize=15, height=0.45,',
    `    width=0.5, fontcolor="${INK}"]`,
    '  edge [fontname="Helvetica", fontsize=12, penwidth=1.4, arrowsize=0.7]',
    ...inputs,
    // An edge that is not drawn keeps the older cell on top.
    "  { rank=same; 0 -> 1 [style=invis] }",
    ...nodes,
    `  out [label=${cellName("k")}, fillcolor="#fbf0d0", color="#cfae55"]`,
    ...concat.map((state) => `  ${state} -> out [color="#a0a6ad", penwidth=1.1]`),
    "}",
  ].join("\n");
}

/**
 * Draws a cell as lines such as `node 0 = sep_conv_3x3(c_{k-2}) + skip_connect(c_{k-1})`, columns aligned.
 * Colours follow the terminal and NO_COLOR unless `colour` says otherwise.
 */
export function drawCellText(
  cell: CellEdges,
  concat: readonly number[],
  { colour = pc.isColorSupported }: { colour?: boolean } = {},
): string {
  const paint = pc.createColors(colour);
  const term = ([op, from]: Edge) => ({
    plain: `${op}(${stateName(from)})`,
    painted: paint[familyOf(op).terminal](op) + paint.dim(`(${stateName(from)})`),
  });
  const rows = edgesByNode(cell).map((edges) => edges.map(term));
  const width = (column: number) => Math.max(0, ...rows.map((row) => row[column]?.plain.length ?? 0));
  const widths = Array.from({ length: Math.max(...rows.map((row) => row.length)) }, (_, column) =>
    width(column),
  );
  const names = `node ${rows.length - 1}`.length;
  const lines = rows.map((row, node) => {
    // The last term of a line is not padded.
    const terms = row.map(({ plain, painted }, column) =>
      column < row.length - 1 ? painted + " ".repeat(widths[column]! - plain.length) : painted,
    );
    return `${`node ${node}`.padEnd(names)} = ${terms.join(" + ")}`;
  });
  const output = `${"c_{k}".padEnd(names)} = concat${paint.dim(`(${concat.map(stateName).join(", ")})`)}`;
  return [...lines, output].join("\n");
}

function familyOf(op: Primitive) {
  const family = FAMILIES.find(({ prefix }) => op.startsWith(prefix));
  return family ?? { colour: addedPrimitive(op).colour, terminal: "red" as const };
}

/** `c_{k-2}`, `c_{k-1}`, `node 0`, … */
export function stateName(state: number): string {
  return state < 2 ? `c_{k-${2 - state}}` : `node ${state - 2}`;
}

/** A cell's name c with its index, as a Graphviz label. */
function cellName(index: string): string {
  return `<<i>c</i><sub><font point-size="11">${index}</font></sub>>`;
}

function quote(text: string): string {
  return `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}
