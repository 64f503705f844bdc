// NAS-Bench-201's text of a cell, both ways, and the sizes of its networks by arithmetic done by hand.
import assert from "node:assert/strict";
import { test } from "node:test";
import { formatArchString, parseArchString } from "../../src/genotype/arch-string.ts";
import { countNetwork } from "../../src/genotype/counts.ts";
import { cellDot, cellsOf, drawCellText } from "../../src/genotype/draw.ts";
import { formatGenotype, formatJson, formatPython, parseGenotype } from "../../src/genotype/parse.ts";
import { findGenotype } from "../../src/genotype/published.ts";
import { randomGenotype } from "../../src/genotype/random.ts";
import { createGenerator } from "../../src/random/generator.ts";
import { findSpace } from "../../src/space/spaces.ts";
import { mistake } from "../support/mistake.ts";

const OPS = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"];
const CELL =
  "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|";

/** All cells: six operations in the order of the text. */
function* everyCell(): Generator<readonly string[]> {
  for (let index = 0; index < OPS.length ** 6; index++)
    yield Array.from({ length: 6 }, (_, edge) => OPS[Math.floor(index / OPS.length ** edge) % OPS.length]!);
}

const text = ([a, b, c, d, e, f]: readonly string[]) => `|${a}~0|+|${b}~0|${c}~1|+|${d}~0|${e}~1|${f}~2|`;

test("all 15,625 cells are read from their text and written as it, and as JSON and Python too", () => {
  const seen = new Set<string>();
  for (const ops of everyCell()) {
    const written = text(ops);
    const genotype = parseGenotype(written);
    assert.equal(formatArchString(genotype), written);
    assert.deepEqual(
      genotype.normal.flat(2).filter((word) => typeof word === "string"),
      ops,
    );
    if (seen.size % 100 === 0)
      for (const form of [formatJson, formatPython, formatGenotype])
        assert.deepEqual(parseGenotype(form(genotype)), genotype);
    seen.add(written);
  }
  assert.equal(seen.size, 15_625);
});

test("the text stands for the sum at each node over all states before it, and the last node is put out", () => {
  assert.deepEqual(findGenotype(`  ${CELL}\n`), {
    space: "nas-bench-201",
    normal: [
      [["nor_conv_3x3", 0]],
      [
        ["nor_conv_3x3", 0],
        ["avg_pool_3x3", 1],
      ],
      [
        ["skip_connect", 0],
        ["nor_conv_3x3", 1],
        ["skip_connect", 2],
      ],
    ],
    normalConcat: [3],
    reduce: [],
    reduceConcat: [],
  });
});

test("a text that is no cell is refused with what was got, what is expected and where", () => {
  const cases: [string, RegExp][] = [
    ["|skip_connect~0|", /got 1 node in "\|skip_connect~0\|", expected 3 joined by \+, as in \|/],
    [CELL.replace("|nor_conv_3x3~0|+", "+"), /node 0: got "", expected \|op~0\|/],
    [CELL.replace("avg_pool_3x3~1", "avg_pool_3x3~0"), /node 1: got "avg_pool_3x3~0", expected op~1/],
    [CELL.replace("|avg_pool_3x3~1", ""), /node 1: got "\|nor_conv_3x3~0\|", expected \|op~0\|op~1\|/],
    [
      CELL.replace("avg_pool", "avgpool"),
      /node 1: got the operation "avgpool_3x3".*did you mean avg_pool_3x3/,
    ],
    [
      CELL.replace("nor_conv_3x3~0", "sep_conv_3x3~0"),
      /node 0: got the operation "sep_conv_3x3", expected one of/,
    ],
  ];
  for (const [wrong, message] of cases)
    assert.match(
      mistake(() => parseArchString(wrong)),
      message,
    );
  const json = JSON.parse(formatJson(parseGenotype(CELL)));
  const refuse = (change: object, message: RegExp) =>
    assert.match(
      mistake(() => parseGenotype(JSON.stringify({ ...json, ...change }))),
      message,
    );
  refuse({ space: "nas-bench-202" }, /Unknown space 'nas-bench-202'; did you mean 'nas-bench-201'/);
  refuse({ reduce: [["none", 0]] }, /for reduce, expected an empty list: the space nas-bench-201 has no/);
  refuse({ normalConcat: [1, 2, 3] }, /expected \[3\], the last node/);
  refuse({ normal: [[["none", 1]]] }, /expected a state from 0 to 0: node 0 reads the cell before \(0\)/);
});

// By hand, for 16 channels, five cells a stage and 32×32 images. The weights of an edge are 5·(9·(16² + 32² + 64²)) and
// those of its norms 5·2·(16 + 32 + 64); of an edge of 1×1, a ninth of the first. All three stages multiply alike:
// 5·9·16²·32² each. The rest: stem 9·3·16 + 2·16; blocks 9·16·32 + 9·32² + 16·32 + 4·32 and the same of 32 and 64; batch
// norm 2·64; classifier 64·10 + 10.
const REST = 464 + (4608 + 9216 + 512 + 128) + (18_432 + 36_864 + 2048 + 256) + 128 + 650;
const EDGE = { nor_conv_3x3: 241_920 + 1120, nor_conv_1x1: 26_880 + 1120 } as const;
const REST_MACS = 9 * 3 * 16 * 1024 + 2 * (4608 + 9216 + 512) * 256 + 640;

test("every cell has the weights and multiply-adds of its convolutions, done by hand", () => {
  assert.equal(REST, 73_306);
  const shape = { channels: 16, cells: 17 };
  let index = 0;
  for (const ops of everyCell()) {
    if (index++ % 7 !== 0) continue;
    const large = ops.filter((op) => op === "nor_conv_3x3").length;
    const small = ops.filter((op) => op === "nor_conv_1x1").length;
    const { params, macs } = countNetwork(parseGenotype(text(ops)), shape);
    assert.equal(params, REST + large * EDGE.nor_conv_3x3 + small * EDGE.nor_conv_1x1);
    assert.equal(macs, REST_MACS + (9 * large + small) * 3 * 5 * 16 ** 2 * 32 ** 2);
  }
  // The best cell of the benchmark for CIFAR-10 has four convolutions of 3×3 and one of 1×1.
  const best = parseGenotype(
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|",
  );
  assert.equal(countNetwork(best, shape).params, 1_073_466);
  assert.equal(countNetwork(best, { ...shape, classes: 100 }).params, 1_073_466 + 5850);
});

test("random cells are drawn from all cells, none among their operations", () => {
  const space = findSpace("nas-bench-201");
  const counts = new Map<string, number>();
  for (let seed = 0; seed < 500; seed++) {
    const genotype = randomGenotype(createGenerator(seed), { nodes: 3, primitives: OPS, space });
    assert.deepEqual(parseGenotype(formatArchString(genotype)!), genotype);
    for (const op of genotype.normal.flat(2))
      if (typeof op === "string") counts.set(op, (counts.get(op) ?? 0) + 1);
  }
  // 3000 draws of five: 600 each, give or take five standard deviations of √(3000·0.2·0.8) = 22.
  for (const op of OPS) assert.ok(Math.abs(counts.get(op)! - 600) < 110, `${op}: ${counts.get(op)}`);
});

test("the one cell is drawn with its one input", () => {
  const [cell, ...others] = cellsOf(parseGenotype(CELL));
  assert.deepEqual([cell!.name, others], ["cell", []]);
  assert.equal(
    drawCellText(cell!.edges, cell!.concat, { inputs: cell!.inputs, colour: false }),
    [
      "node 0 = nor_conv_3x3(c_{k-1})",
      "node 1 = nor_conv_3x3(c_{k-1}) + avg_pool_3x3(node 0)",
      "node 2 = skip_connect(c_{k-1}) + nor_conv_3x3(node 0) + skip_connect(node 1)",
      "c_{k}  = concat(node 2)",
    ].join("\n"),
  );
  const dot = cellDot(cell!.edges, cell!.concat, "cell", cell!.inputs);
  assert.deepEqual(dot.match(/\d -> \w+/g), [
    "0 -> 1",
    "0 -> 2",
    "1 -> 2",
    "0 -> 3",
    "1 -> 3",
    "2 -> 3",
    "3 -> out",
  ]);
});
