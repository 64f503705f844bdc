import assert from "node:assert/strict";
import { test } from "node:test";
import { diffConcats, diffEdges } from "../../src/genotype/difference.ts";
import { edgesOfCell } from "../../src/genotype/genotype.ts";
import { findGenotype } from "../../src/genotype/published.ts";

const V2 = findGenotype("DARTS_V2");

test("a genotype does not differ from itself, whatever the order of a node's edges", () => {
  const [first, second, ...rest] = edgesOfCell(V2.normal);
  const turned = { ...V2, normal: [second!, first!, ...rest] };
  assert.deepEqual(diffEdges(V2, turned), []);
  assert.deepEqual(diffConcats(V2, turned), []);
});

test("an exchanged operation, a moved edge and another concatenation are each told in their place", () => {
  const normal = [...edgesOfCell(V2.normal)];
  const [first] = normal;
  normal[0] = ["max_pool_3x3", first![1]];
  const reduce = edgesOfCell(V2.reduce);
  const [operation, predecessor] = reduce[7]!;
  const other = {
    ...V2,
    normal,
    reduce: [...reduce.slice(0, 7), [operation, 3] as const],
    reduceConcat: [2, 3, 4],
  };
  assert.deepEqual(diffEdges(V2, other), [
    { cell: "normal", node: 0, predecessor: first![1], a: [first![0]], b: ["max_pool_3x3"] },
    ...[
      { cell: "reduce", node: 3, predecessor: 3, a: [], b: [operation] },
      { cell: "reduce", node: 3, predecessor, a: [operation], b: [] },
    ].sort((a, b) => a.predecessor - b.predecessor),
  ]);
  assert.deepEqual(diffConcats(V2, other), [{ cell: "reduce", a: [2, 3, 4, 5], b: [2, 3, 4] }]);
});
