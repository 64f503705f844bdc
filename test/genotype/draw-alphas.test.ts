// The picture of alphas over the epochs: what its shades say, and what it leaves out.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type AlphaEpoch, cellProbabilities, drawAlphasSvg } from "../../src/genotype/draw-alphas.ts";

const primitives = ["none", "skip_connect", "sep_conv_3x3", "max_pool_3x3"] as const;
const rows = (value: (edge: number, k: number) => number | null) =>
  Array.from({ length: 5 }, (_, edge) => primitives.map((_, k) => value(edge, k)));
const level = rows(() => 0);
const decided = rows((edge, k) => (edge === 3 && k === 2 ? 30 : 0));
const epoch = (normal: AlphaEpoch["alphas"]["normal"], reduce = level): AlphaEpoch => ({
  alphas: { normal, reduce },
});

const count = (svg: string, pattern: RegExp) => svg.match(pattern)?.length ?? 0;

test("every edge has a map, named by its ends, with the last epoch's probabilities for those who point at it", () => {
  const svg = drawAlphasSvg([epoch(level), epoch(decided)], { primitives });
  assert.match(svg, /^<svg [\s\S]*<\/svg>\n$/);
  assert.equal(count(svg, /<rect class="f"/g), 10);
  assert.equal(count(svg, />node 1 ← node 0</g), 2);
  assert.match(
    svg,
    /<title>node 1 ← c_\{k-1\}, last epoch: none 0\.000, skip_connect 0\.000, sep_conv_3x3 1\.000,/,
  );
  assert.doesNotMatch(svg, /edge weight| id=|<script/);
  assert.match(svg, /prefers-color-scheme:dark/);
});

test("shades are probabilities: level ones a quarter, decided ones all or nothing, runs of the same shade one piece", () => {
  const svg = drawAlphasSvg([epoch(level), epoch(level), epoch(decided), epoch(decided)], { primitives });
  const [panel] = svg.match(/<g><title>node 1 ← c_\{k-1\}[\s\S]*?<\/g>/)!;
  // Of the decided edge: four level rows over two epochs, and one row over the other two.
  const paths = [...panel.matchAll(/fill-opacity="([\d.]+)" d="([^"]*)"/g)].map(([, shade, path]) => [
    shade,
    path!.split("M").length - 1,
    /h56v/.test(path!),
  ]);
  assert.deepEqual(paths, [
    ["0.25", 4, true],
    ["1", 1, true],
  ]);
});

test("betas are drawn below their edges as a softmax over the edges of the node", () => {
  const edgeLogits = { normal: [0, Math.log(3), 0, 0, 0], reduce: [0, 0, 0, 0, 0] };
  const with_ = { ...epoch(level), edgeLogits };
  assert.deepEqual(
    cellProbabilities(with_, "normal").edges!.map((weight) => weight.toFixed(4)),
    ["0.2500", "0.7500", "0.3333", "0.3333", "0.3333"],
  );
  const svg = drawAlphasSvg([with_], { primitives });
  assert.equal(count(svg, /<rect class="f"/g), 20);
  assert.match(svg, /node 0 ← c_\{k-1\}, last epoch: .*edge weight 0\.750/);
  assert.match(svg, /class="b" fill-opacity="0\.75"/);
});

test("a node's softmax spreads over its edges, and a candidate that an edge lacks has no probability", () => {
  const joint = cellProbabilities(epoch(level), "normal", "node").operations;
  assert.deepEqual(
    [joint[0]![0], joint[2]![0]].map((p) => p!.toFixed(4)),
    ["0.1250", "0.0833"],
  );
  const lacking = epoch(rows((edge, k) => (edge === 0 && k !== 1 ? null : 0)));
  assert.deepEqual(cellProbabilities(lacking, "normal").operations[0], [0, 1, 0, 0]);
});

test("a cell that is not searched is left out, and a thousand epochs take no more room than the columns there are", () => {
  const fixed = drawAlphasSvg([epoch(level, [])], { primitives });
  assert.doesNotMatch(fixed, /reduction cell/);
  const restless = Array.from({ length: 1000 }, (_, i) =>
    epoch(rows((edge, k) => 3 * Math.sin(i * (edge + 1) + k))),
  );
  const svg = drawAlphasSvg(restless, { primitives });
  assert.match(svg, /epochs 1 to 1000/);
  assert.ok(svg.length < 200_000, String(svg.length));
  assert.ok(svg.includes(cellProbabilities(restless.at(-1)!, "normal").operations[4]![3]!.toFixed(3)));
});
