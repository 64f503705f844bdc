// How the alphas of a search went, as a picture: for each edge a small map of its operations (rows) over the epochs
// (columns), the darker the more probable, and below it the weight of the edge where a method learns one (PC-DARTS'
// betas). Nodes are rows and the states that they read columns. Written by hand as SVG, without ids or scripts; its
// colours follow the reader's choice of a light or a dark page.
import type { Primitive } from "../space/primitives.ts";
import { countNodes } from "./discretize.ts";
import { stateName } from "./draw.ts";
import { edgeOffset } from "./genotype.ts";
import { softmax } from "./softmax.ts";

/** Alphas (and betas) of both cells at the end of an epoch, as the event log has them: raw, null without a candidate. */
export interface AlphaEpoch {
  readonly alphas: Readonly<Record<"normal" | "reduce", readonly (readonly (number | null)[])[]>>;
  readonly edgeLogits?: Readonly<Record<"normal" | "reduce", readonly number[]>> | undefined;
}

/** What the picture must know of the search. */
export interface AlphaDrawing {
  readonly primitives: readonly Primitive[];
  /** What competes in one softmax: the operations of an edge (the default), or of all edges of a node. */
  readonly softmax?: "edge" | "node";
  readonly title?: string;
}

/** Probabilities of one cell at one epoch: of each operation of each edge, and of the edges of each node. */
export interface CellProbabilities {
  readonly operations: readonly (readonly number[])[];
  readonly edges: readonly number[] | undefined;
}

const PANEL = 112; // width of an edge's map; no more columns than that
const ROW = 11;
const STRIP = 8; // height of an edge's weight
const GUTTER = 108; // names of the operations
const GAP = 12;
const LEVELS = 20; // shades

const STYLE =
  "svg{color-scheme:light dark}.page{fill:#fff}.p{fill:#1d5fa8}.b{fill:#b35309}.f{fill:none;stroke:#8b949e;stroke-width:.5}" +
  "text{font:10px Helvetica,Arial,sans-serif;fill:#24292f}.h{font-size:14px}.r{text-anchor:end}" +
  "@media(prefers-color-scheme:dark){.page{fill:#0d1117}.p{fill:#79b8ff}.b{fill:#ffab70}text{fill:#e6edf3}}";

/** The softmax of one cell's raw alphas and betas. */
export function cellProbabilities(
  { alphas, edgeLogits }: AlphaEpoch,
  cell: "normal" | "reduce",
  over: "edge" | "node" = "edge",
): CellProbabilities {
  const rows = alphas[cell].map((row) => row.map((alpha) => alpha ?? Number.NEGATIVE_INFINITY));
  const byNode = <T>(values: readonly T[], fn: (own: readonly T[]) => readonly T[]): T[] =>
    Array.from({ length: countNodes(rows) }, (_, node) =>
      fn(values.slice(edgeOffset(node), edgeOffset(node + 1))),
    ).flat();
  const joint = (own: readonly number[][]) => {
    const all = softmax(own.flat());
    return own.map((row, i) => all.slice(i * row.length, (i + 1) * row.length));
  };
  return {
    operations: over === "edge" ? rows.map(softmax) : byNode(rows, (own) => joint(own as number[][])),
    edges: edgeLogits && byNode(edgeLogits[cell], softmax),
  };
}

/** Draws the epochs of a search as one `<svg>` element; a cell that is not searched is left out. */
export function drawAlphasSvg(
  epochs: readonly AlphaEpoch[],
  { primitives, softmax: over = "edge", title = "alphas" }: AlphaDrawing,
): string {
  const shown = sampled(epochs, PANEL);
  const cells = (["normal", "reduce"] as const).flatMap((cell) =>
    (shown[0]?.alphas[cell].length ?? 0) > 0
      ? [{ cell, history: shown.map((epoch) => cellProbabilities(epoch, cell, over)) }]
      : [],
  );
  const all = cells.flatMap(({ history }) => history.flatMap(({ operations }) => operations.flat()));
  // Level alphas have half the shade, so that both ways to go are seen.
  const top = Math.min(
    1,
    Math.max(2 / primitives.length, ...new Set(all.map((p) => Math.ceil(p * 100) / 100))),
  );
  const parts: string[] = [];
  let y = 28;
  for (const { cell, history } of cells) {
    const drawn = drawCell(history, primitives, {
      y,
      top,
      name: cell === "normal" ? "normal cell" : "reduction cell",
    });
    parts.push(drawn.svg);
    y = drawn.bottom + 14;
  }
  const states = Math.max(0, ...cells.map(({ history }) => countNodes(history[0]!.operations) + 1));
  const width = GUTTER + states * (PANEL + GAP) + GAP;
  const text = `${title}: epochs 1 to ${epochs.length} from left to right, shades from 0 to ${top}`;
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${y}" viewBox="0 0 ${width} ${y}">\n` +
    `<style>${STYLE}</style>\n<rect class="page" width="${width}" height="${y}"/>\n` +
    `<text x="${GAP}" y="18">${xmlText(text)}</text>\n${parts.join("\n")}\n</svg>\n`
  );
}

/** One cell: a line of panels for each node. */
function drawCell(
  history: readonly CellProbabilities[],
  primitives: readonly Primitive[],
  { y, top, name }: { readonly y: number; readonly top: number; readonly name: string },
): { svg: string; bottom: number } {
  const { operations, edges } = history[0]!;
  const parts = [`<text class="h" x="${GAP}" y="${y + 16}">${name}</text>`];
  const height = primitives.length * ROW;
  let at = y + 26;
  for (let node = 0; edgeOffset(node) < operations.length; node++) {
    const names = [...primitives.keys()].map(
      (k) =>
        `<text class="r" x="${GUTTER - 6}" y="${at + 14 + k * ROW + 9}">${xmlText(primitives[k]!)}</text>`,
    );
    if (edges)
      names.push(`<text class="r" x="${GUTTER - 6}" y="${at + 14 + height + 11}">edge weight</text>`);
    parts.push(...names);
    for (let from = 0; from < node + 2; from++) {
      const edge = edgeOffset(node) + from;
      const x = GUTTER + from * (PANEL + GAP);
      const heading = `<text x="${x}" y="${at + 10}">node ${node} ← ${stateName(from)}</text>`;
      const rows = [...primitives.keys()].map((k) =>
        history.map((epoch) => epoch.operations[edge]![k]! / top),
      );
      const weights = edges ? [history.map((epoch) => epoch.edges![edge]!)] : [];
      const last = history.at(-1)!;
      const values = primitives.map((op, k) => `${op} ${last.operations[edge]![k]!.toFixed(3)}`);
      if (last.edges) values.push(`edge weight ${last.edges[edge]!.toFixed(3)}`);
      parts.push(
        `<g><title>node ${node} ← ${stateName(from)}, last epoch: ${xmlText(values.join(", "))}</title>`,
        heading,
        drawMap(rows, { x, y: at + 14, rowHeight: ROW, kind: "p" }),
        ...(edges ? [drawMap(weights, { x, y: at + 14 + height + 3, rowHeight: STRIP, kind: "b" })] : []),
        "</g>",
      );
    }
    at += 14 + height + (edges ? 3 + STRIP : 0) + GAP;
  }
  return { svg: parts.join("\n"), bottom: at };
}

/** A map of rows of shares 0…1 in a frame: one path for each shade, neighbours of the same shade in one piece. */
function drawMap(
  rows: readonly (readonly number[])[],
  {
    x,
    y,
    rowHeight,
    kind,
  }: { readonly x: number; readonly y: number; readonly rowHeight: number; readonly kind: "p" | "b" },
): string {
  const shades = new Map<number, string>();
  const width = PANEL / (rows[0]?.length ?? 1);
  for (const [row, values] of rows.entries()) {
    const levels = values.map((value) => Math.min(LEVELS, Math.round(value * LEVELS)));
    for (let start = 0, end: number; start < levels.length; start = end) {
      const level = levels[start]!;
      end = start + 1;
      while (levels[end] === level) end++;
      const w = short((end - start) * width);
      const piece = `M${short(x + start * width)} ${y + row * rowHeight}h${w}v${rowHeight}h-${w}z`;
      if (level > 0) shades.set(level, (shades.get(level) ?? "") + piece);
    }
  }
  const paths = [...shades].map(
    ([level, path]) => `<path class="${kind}" fill-opacity="${short(level / LEVELS)}" d="${path}"/>`,
  );
  const frame = `<rect class="f" x="${x}" y="${y}" width="${PANEL}" height="${rows.length * rowHeight}"/>`;
  return [...paths, frame].join("\n");
}

/** At most `count` of the epochs, evenly, the last one among them. */
function sampled<T>(epochs: readonly T[], count: number): T[] {
  const columns = Math.min(count, epochs.length);
  return Array.from(
    { length: columns },
    (_, i) => epochs[Math.ceil(((i + 1) * epochs.length) / columns) - 1]!,
  );
}

function short(value: number): string {
  return String(Math.round(value * 100) / 100);
}

function xmlText(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
