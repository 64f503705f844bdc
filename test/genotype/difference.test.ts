import assert from "node:assert/strict";
import { test } from "node:test";
import { diffConcats, diffEdges } from "../../src/genotype/difference.ts";
import { findGenotype } from "../../src/genotype/published.ts";

const V2 = findGenotype("DARTS_V2");

test("a genotype does not differ from itself, whatever the order of a node's edges", () => {
  const [first, second, ...rest] = V2.normal;
  const turned = { ...V2, normal: [second!, first!, ...rest] };
  assert.deepEqual(diffEdges(V2, turned), []);
  assert.deepEqual(diffConcats(V2, turned), []);
});

test("an exchanged operation, a moved edge and another concatenation are each told in their place", () => {
  const normal = [...V2.normal];
  normal[0] = ["max_pool_3x3", normal[0]![1]];
  const reduce = [...V2.reduce];
  const [operation] = reduce[7]!;
  const other = {
    ...V2,
    normal,
    reduce: [...reduce.slice(0, 7), [operation, 3] as const],
    reduceConcat: [2, 3, 4],
  };
  assert.deepEqual(diffEdges(V2, other), [
    { cell: "normal", node: 0, predecessor: V2.normal[0]![1], a: [V2.normal[0]![0]], b: ["max_pool_3x3"] },
    ...[
      { cell: "reduce", node: 3, predecessor: 3, a: [], b: [operation] },
      { cell: "reduce", node: 3, predecessor: V2.reduce[7]![1], a: [operation], b: [] },
    ].sort((a, b) => a.predecessor - b.predecessor),
  ]);
  assert.deepEqual(diffConcats(V2, other), [{ cell: "reduce", a: [2, 3, 4, 5], b: [2, 3, 4] }]);
});
