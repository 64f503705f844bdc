// Every rule on one table of alphas with a known answer, on ties, and on alphas that hold no answer.
import assert from "node:assert/strict";
import { test } from "node:test";
import { UserError } from "../../src/errors.ts";
import {
  DISCRETIZATION_RULES,
  deriveGenotype,
  deriveIDarts,
  deriveRecurrent,
  keepTwoEdges,
} from "../../src/genotype/discretize.ts";
import { edgesByNode } from "../../src/genotype/genotype.ts";
import { derivePDarts, dropLeastOps, leastOps } from "../../src/genotype/p-darts-rule.ts";
import { choiceRows, sgasDecide, sgasScores } from "../../src/genotype/sgas-rule.ts";
import { softmax, softmaxRows } from "../../src/genotype/softmax.ts";
import { alphaStatistics, countSkips } from "../../src/genotype/statistics.ts";
import { DARTS_PRIMITIVES } from "../../src/space/primitives.ts";
import { byNode, cell } from "./shorthand.ts";

const table = (rows: number, columns: number, value: (row: number, column: number) => number) =>
  Array.from({ length: rows }, (_, e) => Array.from({ length: columns }, (_, k) => value(e, k)));

const ALPHAS = table(14, 8, (e, k) => Math.sin(1.7 * e + 0.9 * k));
const BETAS = Array.from({ length: 14 }, (_, e) => Math.cos(0.8 * e));
const ZEROS = table(14, 8, () => 0);
const ACTIVATIONS = ["none", "tanh", "relu", "sigmoid", "identity"] as const;

const round = (values: readonly number[], digits: number) =>
  values.map((value) => value.toFixed(digits)).join(" ");

test("the softmax of the first row has its known values", () => {
  const known = "0.101343 0.221815 0.268369 0.155383 0.065105 0.038129 0.046794 0.103062";
  assert.equal(round(softmax(ALPHAS[0]!), 6), known);
});

test("the softmax neither overflows nor loses an operation that was dropped", () => {
  assert.deepEqual(softmax([1000, Number.NEGATIVE_INFINITY, 1000]), [0.5, 0, 0.5]);
});

test("DARTS keeps the two strongest edges of each node, the strongest first", () => {
  const expected = cell("ap,0 d5,1 | sk,1 s5,0 | s3,1 ap,2 | s3,1 ap,2");
  assert.deepEqual(DISCRETIZATION_RULES.darts({ alphas: ALPHAS }, DARTS_PRIMITIVES), expected);
});

test("edge scores are the known ones", () => {
  const scores = softmaxRows(ALPHAS).map((row) => Math.max(...row.slice(1)));
  const byNode = [scores.slice(0, 2), scores.slice(2, 5), scores.slice(5, 9), scores.slice(9, 14)];
  assert.deepEqual(
    byNode.map((node) =>
      round(
        node.toSorted((a, b) => b - a),
        6,
      ),
    ),
    [
      "0.268369 0.232290",
      "0.293622 0.282190 0.255320",
      "0.275030 0.263438 0.238349 0.226345",
      "0.289868 0.278627 0.277413 0.252803 0.234253",
    ],
  );
});

test("PC-DARTS weighs probabilities with the softmax of the betas over each node's edges", () => {
  assert.equal(round(softmax(BETAS.slice(0, 2)), 6), "0.575247 0.424753");
  assert.equal(round(softmax(BETAS.slice(2, 5)), 6), "0.534200 0.263111 0.202689");
  assert.equal(round(softmax(BETAS.slice(5, 9)), 6), "0.080230 0.168348 0.334991 0.416431");
  assert.equal(round(softmax(BETAS.slice(9)), 6), "0.449180 0.211362 0.108633 0.091321 0.139503");
  const expected = cell("ap,0 d5,1 | s5,0 sk,1 | mp,3 ap,2 | d3,0 s3,1");
  assert.deepEqual(
    DISCRETIZATION_RULES["pc-darts"]({ alphas: ALPHAS, betas: BETAS }, DARTS_PRIMITIVES),
    expected,
  );
});

test("PC-DARTS with level betas is DARTS within each node", () => {
  const betas = BETAS.map(() => 0);
  assert.deepEqual(
    DISCRETIZATION_RULES["pc-darts"]({ alphas: ALPHAS, betas }, DARTS_PRIMITIVES),
    DISCRETIZATION_RULES.darts({ alphas: ALPHAS }, DARTS_PRIMITIVES),
  );
});

test("PC-DARTS says so when the betas are missing", () => {
  assert.throws(
    () => DISCRETIZATION_RULES["pc-darts"]({ alphas: ALPHAS }, DARTS_PRIMITIVES),
    /betas: got none/,
  );
});

test("GDAS keeps the two strongest pairs of edge and operation", () => {
  const expected = cell("ap,0 d5,1 | sk,1 s5,0 | s3,1 ap,2 | s3,1 ap,2");
  assert.deepEqual(DISCRETIZATION_RULES.gdas({ alphas: ALPHAS }, DARTS_PRIMITIVES), expected);
});

test("GDAS may keep two operations of one edge", () => {
  const alphas = table(2, 8, (e, k) => (e === 0 ? 0 : k === 5 ? 5 : k === 3 ? 4.5 : 0));
  assert.deepEqual(DISCRETIZATION_RULES.gdas({ alphas }, DARTS_PRIMITIVES), cell("s5,1 sk,1"));
  assert.deepEqual(DISCRETIZATION_RULES.darts({ alphas }, DARTS_PRIMITIVES), cell("s5,1 mp,0"));
});

test("SNAS keeps the best operation of every edge, which may be none", () => {
  const edges = DISCRETIZATION_RULES.snas({ alphas: ALPHAS }, DARTS_PRIMITIVES);
  const expected = "ap,0 no,1 | s5,0 sk,1 mp,2 | d3,0 s3,1 ap,2 mp,3 | d3,0 s3,1 ap,2 d5,3 s5,4";
  assert.deepEqual(edges, byNode(expected));
});

test("I-DARTS keeps the strongest pairs of one softmax over the whole node", () => {
  const expected = cell("d5,1 ap,0 | s5,0 sk,1 | d3,0 s3,1 | d5,3 ap,2");
  assert.deepEqual(DISCRETIZATION_RULES["i-darts"]({ alphas: ALPHAS }, DARTS_PRIMITIVES), expected);
  assert.deepEqual(
    deriveIDarts({ alphas: ALPHAS }, DARTS_PRIMITIVES, 1),
    byNode("d5,1 | s5,0 | d3,0 | d5,3"),
  );
  const alphas = table(2, 3, (e, k) => [0, 5, 4][k]! - 3 * e);
  const primitives = ["none", "sep_conv_3x3", "skip_connect"] as const;
  // Two operations of one edge, as one softmax may rank them; a node has no more pairs than it has.
  assert.deepEqual(deriveIDarts({ alphas }, primitives), cell("s3,0 sk,0"));
  assert.deepEqual(deriveIDarts({ alphas }, primitives, 3), byNode("s3,0 sk,0 s3,1"));
  assert.deepEqual(deriveIDarts({ alphas }, primitives, 9), byNode("s3,0 sk,0 s3,1 sk,1"));
});

test("DARTS' rule on one softmax of a node ranks edges by their largest alpha, and keeps one operation of each", () => {
  const rule = DISCRETIZATION_RULES["darts-by-node"];
  // Of edge 0 the softmax is level, so DARTS prefers the two others; its alphas are the largest of the node.
  const alphas = [
    [0, 0, 0],
    [0, 0, 0],
    [4, 4, 4],
    [0, 3, 0],
    [0, 2, 0],
  ];
  const primitives = ["none", "sep_conv_3x3", "skip_connect"] as const;
  assert.deepEqual(DISCRETIZATION_RULES.darts({ alphas }, primitives).slice(2), cell("s3,1 s3,2"));
  assert.deepEqual(rule({ alphas }, primitives).slice(2), cell("s3,0 s3,1"));
  assert.deepEqual(
    rule({ alphas: ZEROS }, DARTS_PRIMITIVES),
    cell("mp,0 mp,1 | mp,0 mp,1 | mp,0 mp,1 | mp,0 mp,1"),
  );
});

test("the third places behind GDAS's choice are the known ones", () => {
  // Ranked by each edge's softmax; deriveIDarts ranks whatever it is given.
  const edges = deriveIDarts({ alphas: softmaxRows(ALPHAS) }, DARTS_PRIMITIVES, 3);
  const third = edgesByNode(edges).map((node) => node[2]);
  assert.deepEqual(third, cell("mp,0 mp,2 sk,2 s5,4"));
});

test("SGAS scores its edges and decides the known one first", () => {
  const scores = sgasScores(ALPHAS, DARTS_PRIMITIVES);
  const known =
    "0.8987 0.7672 0.9195 0.9571 0.8442 0.7996 0.9468 0.9426 0.7902 0.8562 0.9586 0.9114 0.7658 0.9080";
  assert.equal(round(scores.importance, 4), known);
  const all = ALPHAS.keys();
  assert.deepEqual(sgasDecide(scores.criterion1, all, ALPHAS, DARTS_PRIMITIVES), {
    edge: 10,
    op: "sep_conv_3x3",
  });
});

test("SGAS decides among the undecided edges only, and nothing when none is left", () => {
  const { criterion1 } = sgasScores(ALPHAS, DARTS_PRIMITIVES);
  assert.equal(sgasDecide(criterion1, [12], ALPHAS, DARTS_PRIMITIVES)?.edge, 12);
  assert.equal(sgasDecide(criterion1, [], ALPHAS, DARTS_PRIMITIVES), undefined);
});

test("SGAS finds a choice stable that equals its history", () => {
  const past = choiceRows(ALPHAS, DARTS_PRIMITIVES);
  const { stability } = sgasScores(ALPHAS, DARTS_PRIMITIVES, [past, past]);
  for (const value of stability) assert.ok(Math.abs(value - 1) < 1e-12);
  assert.ok(sgasScores(ALPHAS, DARTS_PRIMITIVES).stability.every((value) => value === 0));
});

test("SGAS scores level alphas with zero on every edge", () => {
  const { certainty, criterion1 } = sgasScores(ZEROS, DARTS_PRIMITIVES);
  for (const value of certainty) assert.ok(Math.abs(value) < 1e-12);
  assert.ok(criterion1.every((value) => value === 0));
});

test("P-DARTS drops the least probable operations of an edge, each once", () => {
  const names = (row: readonly number[]) => leastOps(row, 3).map((op) => DARTS_PRIMITIVES[op]);
  assert.deepEqual(names(ALPHAS[0]!).toSorted(), ["dil_conv_3x3", "sep_conv_3x3", "sep_conv_5x5"]);
  assert.deepEqual(names(ALPHAS[5]!).toSorted(), ["avg_pool_3x3", "sep_conv_3x3", "skip_connect"]);
  const once = dropLeastOps(ALPHAS, 3);
  const twice = dropLeastOps(once, 2);
  for (const row of once) assert.equal(row.filter(Number.isFinite).length, 5);
  for (const row of twice) assert.equal(row.filter(Number.isFinite).length, 3);
});

test("P-DARTS without a limit keeps DARTS's edges, ordered by predecessor", () => {
  const expected = cell("ap,0 d5,1 | s5,0 sk,1 | s3,1 ap,2 | s3,1 ap,2");
  assert.deepEqual(derivePDarts(ALPHAS, DARTS_PRIMITIVES), expected);
});

test("P-DARTS replaces the weakest skips until few enough are left", () => {
  // Skips win everywhere, the more the later the edge; the 5x5 separable convolution stands second.
  const alphas = table(14, 8, (e, k) => (k === 3 ? 3 + 0.1 * e : k === 5 ? 1 : 0));
  assert.equal(countSkips(derivePDarts(alphas, DARTS_PRIMITIVES)), 8);
  for (const maxSkips of [0, 1, 2, 5]) {
    const edges = derivePDarts(alphas, DARTS_PRIMITIVES, { maxSkips });
    assert.equal(countSkips(edges), maxSkips);
    assert.ok(edges.every(([op]) => op === "skip_connect" || op === "sep_conv_5x5"));
  }
  assert.deepEqual(derivePDarts(alphas, DARTS_PRIMITIVES, { maxSkips: 2 }).slice(6), cell("sk,3 sk,4"));
});

test("P-DARTS says so when nothing but skips is left", () => {
  const onlySkips = table(14, 2, () => 0);
  assert.throws(() => derivePDarts(onlySkips, ["none", "skip_connect"], { maxSkips: 2 }), UserError);
});

test("the recurrent rule keeps one edge for each node", () => {
  const alphas = table(36, 5, (e, k) => Math.sin(1.3 * e + 0.7 * k));
  assert.deepEqual(deriveRecurrent(alphas, ACTIVATIONS), [
    ["relu", 0],
    ["tanh", 0],
    ["identity", 0],
    ["identity", 2],
    ["identity", 3],
    ["identity", 3],
    ["identity", 2],
    ["identity", 4],
  ]);
  assert.throws(() => deriveRecurrent(alphas.slice(1), ACTIVATIONS), /got 35 rows/);
});

test("ties go to the lower predecessor and to the operation that stands first", () => {
  const expected = cell("mp,0 mp,1 | mp,0 mp,1 | mp,0 mp,1 | mp,0 mp,1");
  assert.deepEqual(DISCRETIZATION_RULES.darts({ alphas: ZEROS }, DARTS_PRIMITIVES), expected);
  const betas = BETAS.map(() => 0);
  assert.deepEqual(DISCRETIZATION_RULES["pc-darts"]({ alphas: ZEROS, betas }, DARTS_PRIMITIVES), expected);
  assert.deepEqual(keepTwoEdges(ZEROS, DARTS_PRIMITIVES), expected);
  const recurrent = deriveRecurrent(
    table(36, 5, () => 0),
    ACTIVATIONS,
  );
  assert.deepEqual(recurrent, Array(8).fill(["tanh", 0]));
});

test("none weighs on an edge but is never kept, wherever it stands", () => {
  const alphas = table(5, 3, (e, k) => (k === 2 ? 10 * (e % 2) : k === 0 ? 1 : 0));
  const primitives = ["sep_conv_3x3", "skip_connect", "none"] as const;
  // Edges 1 and 3 are almost surely none, so node 1 keeps its edges 0 and 2.
  assert.deepEqual(DISCRETIZATION_RULES.darts({ alphas }, primitives), cell("s3,0 s3,1 | s3,0 s3,2"));
});

test("a genotype is derived from both tables and concatenates all nodes", () => {
  const genotype = deriveGenotype({ normal: ALPHAS, reduce: ZEROS }, DARTS_PRIMITIVES);
  assert.deepEqual(genotype, {
    normal: cell("ap,0 d5,1 | sk,1 s5,0 | s3,1 ap,2 | s3,1 ap,2"),
    normalConcat: [2, 3, 4, 5],
    reduce: cell("mp,0 mp,1 | mp,0 mp,1 | mp,0 mp,1 | mp,0 mp,1"),
    reduceConcat: [2, 3, 4, 5],
  });
  const logits = { normal: ALPHAS, normalBetas: BETAS, reduce: ALPHAS, reduceBetas: BETAS };
  const partial = deriveGenotype(logits, DARTS_PRIMITIVES, DISCRETIZATION_RULES["pc-darts"]);
  assert.deepEqual(partial.reduce, cell("ap,0 d5,1 | s5,0 sk,1 | mp,3 ap,2 | d3,0 s3,1"));
});

test("alphas of a diverged search or of another shape are refused", () => {
  const diverged = ALPHAS.with(3, [Number.NaN, 0, 0, 0, 0, 0, 0, 0]);
  assert.throws(() => deriveGenotype({ normal: diverged, reduce: ZEROS }, DARTS_PRIMITIVES), /diverged/);
  assert.throws(
    () => deriveGenotype({ normal: ALPHAS.slice(1), reduce: ZEROS }, DARTS_PRIMITIVES),
    /got 13 rows/,
  );
  assert.throws(
    () => deriveGenotype({ normal: ALPHAS, reduce: ZEROS }, DARTS_PRIMITIVES.slice(1)),
    /a row of 8/,
  );
  assert.throws(() => deriveGenotype({ normal: [[0], [0]], reduce: [[0], [0]] }, ["none"]), UserError);
});

test("statistics tell the mean entropy and the skips of the derived cell", () => {
  const level = alphaStatistics(ZEROS, DARTS_PRIMITIVES);
  assert.ok(Math.abs(level.entropy - Math.log(8)) < 1e-12);
  assert.equal(level.skips, 0);
  const collapsed = alphaStatistics(
    table(14, 8, (_, k) => (k === 3 ? 1000 : 0)),
    DARTS_PRIMITIVES,
  );
  assert.equal(collapsed.entropy, 0);
  assert.equal(collapsed.skips, 8);
  assert.equal(alphaStatistics(ALPHAS, DARTS_PRIMITIVES).skips, 1);
});
