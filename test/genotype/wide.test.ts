// Cells whose nodes have other than two edges: written and read in both forms, checked, counted, drawn and compared.
import assert from "node:assert/strict";
import { test } from "node:test";
import { countEdge, countNetwork } from "../../src/genotype/counts.ts";
import { diffEdges } from "../../src/genotype/difference.ts";
import { cellDot, drawCellSvg, drawCellText } from "../../src/genotype/draw.ts";
import { FIXED_REDUCTION } from "../../src/genotype/fixed-reduction.ts";
import { cellOf, edgesByNode, edgesOfCell, type Genotype, nodesOfCell } from "../../src/genotype/genotype.ts";
import { checkGenotype, formatJson, formatPython, parseGenotype } from "../../src/genotype/parse.ts";
import { findGenotype } from "../../src/genotype/published.ts";
import { alphaStatistics, countSkips } from "../../src/genotype/statistics.ts";
import { byNode, cell } from "./shorthand.ts";

/** Several operations of one state, one edge alone, none; and a cell of two edges for each node beside it. */
const WIDE: Genotype = {
  normal: byNode("s3,0 sk,0 mp,1 | no,2 | d5,3 s3,1"),
  normalConcat: [2, 3, 4],
  reduce: cell("mp,0 mp,1 | sk,2 mp,0"),
  reduceConcat: [2, 3],
};

test("both forms give each node a list of its own where a node has other than two edges, and only there", () => {
  const python =
    "Genotype(normal=[[('sep_conv_3x3', 0), ('skip_connect', 0), ('max_pool_3x3', 1)], [('none', 2)], " +
    "[('dil_conv_5x5', 3), ('sep_conv_3x3', 1)]], normal_concat=range(2, 5), " +
    "reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 0)], " +
    "reduce_concat=range(2, 4))";
  assert.equal(formatPython(WIDE), python);
  assert.deepEqual(parseGenotype(`WIDE = ${python}`), WIDE);
  const json =
    '{\n  "normal": [[["sep_conv_3x3", 0], ["skip_connect", 0], ["max_pool_3x3", 1]], [["none", 2]], ' +
    '[["dil_conv_5x5", 3], ["sep_conv_3x3", 1]]],\n  "normalConcat": [2, 3, 4],\n  "reduce": ' +
    '[["max_pool_3x3", 0], ["max_pool_3x3", 1], ["skip_connect", 2], ["max_pool_3x3", 0]],\n  "reduceConcat": [2, 3]\n}';
  assert.equal(formatJson(WIDE), json);
  assert.deepEqual(parseGenotype(json), WIDE);
  assert.deepEqual(checkGenotype(JSON.parse(JSON.stringify(WIDE))), WIDE);
});

test("lists of two edges each are read as the published list", () => {
  const nested = "normal=[[('sep_conv_3x3', 0), ('none', 1)], (('skip_connect', 0), ('skip_connect', 2))]";
  const { normal } = parseGenotype(`Genotype(${nested}, reduce=[('none', 0), ('none', 1)])`);
  assert.deepEqual(normal, cell("s3,0 no,1 | sk,0 sk,2"));
  assert.deepEqual(cellOf(byNode("s3,0 no,1 | sk,0 sk,2")), normal);
});

test("nodes, edges and skips are those of the lists", () => {
  assert.deepEqual(edgesByNode(WIDE.normal), byNode("s3,0 sk,0 mp,1 | no,2 | d5,3 s3,1"));
  assert.deepEqual(edgesByNode(WIDE.reduce), byNode("mp,0 mp,1 | sk,2 mp,0"));
  assert.deepEqual(edgesOfCell(WIDE.normal), cell("s3,0 sk,0 mp,1 no,2 d5,3 s3,1"));
  assert.deepEqual([WIDE.normal, WIDE.reduce].map(nodesOfCell), [3, 2]);
  assert.deepEqual([WIDE.normal, WIDE.reduce].map(countSkips), [1, 1]);
});

const MISTAKES: readonly (readonly [what: string, normal: string, message: RegExp])[] = [
  [
    "a node without edges",
    "[[('none', 0)], []]",
    /got \[\] at normal\[1\], expected a list of one or more edges for node 1/,
  ],
  [
    "an edge among lists",
    "[[('none', 0)], ('none', 1)]",
    /got \["none",1\] at normal\[1\], expected a list of one or more edges/,
  ],
  [
    "a list among edges",
    "[('none', 0), [('none', 1)]]",
    /got \[\["none",1\]\] at normal\[1\], expected a pair/,
  ],
  [
    "a state that comes later",
    "[[('none', 0)], [('none', 0), ('none', 3)]]",
    /predecessor 3 at normal\[1\]\[1\], expected a state from 0 to 2/,
  ],
  [
    "an unknown operation",
    "[[('skip_conect', 0)]]",
    /at normal\[0\]\[0\], expected one of .*did you mean skip_connect\?/,
  ],
  ["lists of lists", "[[[('none', 0)]]]", /got \[\["none",0\]\] at normal\[0\]\[0\], expected a pair/],
  [
    "an odd number of edges",
    "[('none', 0)]",
    /got 1 edges in normal, expected two for each node; .* a list of its own/,
  ],
  ["a number for a node", "[[('none', 0)], 3]", /got 3 at normal\[1\], expected a list/],
];
for (const [what, normal, message] of MISTAKES) {
  test(`${what} is refused with its place`, () => {
    assert.throws(() => parseGenotype(`Genotype(normal=${normal}, reduce=[('none', 0), ('none', 1)])`), {
      name: "UserError",
      message,
    });
  });
}

test("a cell costs what its edges cost, however many they are", () => {
  const shape = { channels: 8, cells: 3, imageSize: 16 };
  const lean = { ...WIDE, normal: byNode("no,0 | no,0 | no,0") };
  const [wide, empty] = [WIDE, lean].map((genotype) => countNetwork(genotype, shape));
  const place = { channels: 8, reduction: false, sizeIn: [16, 16], size: [16, 16] } as const;
  const edges = edgesOfCell(WIDE.normal).map(([op, from]) => countEdge(op, from, place, true));
  assert.equal(
    wide!.params - empty!.params,
    edges.reduce((sum, { params }) => sum + params, 0),
  );
  assert.equal(
    wide!.macs - empty!.macs,
    edges.reduce((sum, { macs }) => sum + macs, 0),
  );
});

test("the operations of the fixed reduction cell cost what their layers hold", () => {
  const place = { channels: 16, reduction: true, sizeIn: [8, 6], size: [4, 3] } as const;
  // 1x3 and 3x1 in eight groups of two channels, 1x1, and two norms of scale and shift.
  const weights = 3 * 2 * 16;
  assert.deepEqual(countEdge("group_conv_3x1_1x3", 0, place, true), {
    params: 2 * weights + 16 * 16 + 4 * 16,
    macs: weights * 8 * 3 + (weights + 16 * 16) * 4 * 3,
  });
  assert.deepEqual(countEdge("norm_max_pool_3x3", 1, place, true), { params: 2 * 16, macs: 0 });
  assert.deepEqual(countEdge("norm_max_pool_3x3", 1, place, false), { params: 0, macs: 0 });
});

test("the cell that GDAS found beside a fixed reduction has the published size", () => {
  const genotype = findGenotype("GDAS_F1");
  assert.deepEqual(genotype, { ...genotype, ...FIXED_REDUCTION });
  assert.equal((countNetwork(genotype, { channels: 36, cells: 20 }).params / 1e6).toFixed(1), "2.5");
});

test("the terminal drawing aligns as many terms as there are", () => {
  assert.equal(
    drawCellText(WIDE.normal, WIDE.normalConcat, { colour: false }),
    [
      "node 0 = sep_conv_3x3(c_{k-2}) + skip_connect(c_{k-2}) + max_pool_3x3(c_{k-1})",
      "node 1 = none(node 0)",
      "node 2 = dil_conv_5x5(node 1)  + sep_conv_3x3(c_{k-1})",
      "c_{k}  = concat(node 0, node 1, node 2)",
    ].join("\n"),
  );
});

test("the picture has every operation as an arrow, several between the same two states, none dashed", async () => {
  const dot = cellDot(WIDE.normal, WIDE.normalConcat);
  assert.equal(dot.match(/0 -> 2 \[label/g)?.length, 2);
  assert.match(dot, /2 -> 3 \[label=" none ".*style=dashed/);
  const svg = await drawCellSvg(WIDE.normal, WIDE.normalConcat);
  assert.equal(svg.match(/class="edge"/g)?.length, 6 + 3);
});

test("differences name all operations between two states", () => {
  const other = { ...WIDE, normal: byNode("sk,0 d3,0 mp,1 | no,2 | d5,3 s3,1 s3,1") };
  assert.deepEqual(diffEdges(WIDE, other), [
    {
      cell: "normal",
      node: 0,
      predecessor: 0,
      a: ["sep_conv_3x3", "skip_connect"],
      b: ["dil_conv_3x3", "skip_connect"],
    },
    { cell: "normal", node: 2, predecessor: 1, a: ["sep_conv_3x3"], b: ["sep_conv_3x3", "sep_conv_3x3"] },
  ]);
  assert.deepEqual(
    diffEdges(WIDE, { ...WIDE, normal: [...edgesByNode(WIDE.normal)].map((node) => [...node].reverse()) }),
    [],
  );
});

test("a cell without alphas has statistics of zeros", () => {
  assert.deepEqual(alphaStatistics([], ["none", "skip_connect"]), { entropy: 0, entropies: [], skips: 0 });
});
