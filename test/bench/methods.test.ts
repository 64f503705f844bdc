// What `bench methods` measures: a step of every method in every shape, alphas and weights both.
import assert from "node:assert/strict";
import { test } from "node:test";
import { methodSearch, methodSteps } from "../../bench/method-steps.ts";
import { declaredMethods } from "../../src/methods/table.ts";
import type { Search } from "../../src/search/search.ts";
import { setThreads } from "../../src/tensor/runtime.ts";
import { scope } from "../../src/tensor/scope.ts";

setThreads(1);

const names = declaredMethods().flatMap(({ name, presets }) => (presets ? [name] : []));
const steps = methodSteps(names);

test("every method that has presets is measured, DARTS in both orders, and what changes its supernet in each shape", () => {
  assert.deepEqual(new Set(steps.map(({ method }) => method)), new Set(names));
  const rows = (name: string) =>
    steps.flatMap(({ method, order, cells, batch, operations }) =>
      method === name ? [[order, cells, batch, operations]] : [],
    );
  assert.deepEqual(rows("darts"), [
    ["first", 8, 64, 112],
    ["second", 8, 64, 112],
  ]);
  assert.deepEqual(rows("pc-darts"), [["first", 8, 256, 112]]);
  assert.deepEqual(rows("p-darts"), [
    ["first", 5, 96, 112],
    ["first", 11, 96, 70],
    ["first", 17, 96, 42],
  ]);
  assert.equal(rows("sgas").length, 2);
});

for (const step of steps) {
  test(`${step.method}, ${step.order} order, shape ${step.shape + 1}: a step moves alphas and weights`, () => {
    using search = methodSearch(step, { batch: 2, channels: 8, cells: 3 });
    search.runStep();
    const before = sums(search);
    search.runStep();
    const moved = sums(search).map((sum, i) => sum !== before[i]);
    // Random search has no alphas.
    assert.deepEqual(moved, [search.method.alphas.size > 0, true]);
  });
}

/** Of all alphas, some of which SGAS has decided and left, and of the weights. */
function sums({ method, supernet }: Search): number[] {
  return [[...method.alphas.values()], supernet.parameters()].map((tensors) =>
    scope(() => tensors.reduce((sum, tensor) => sum + tensor.sum().item(), 0)),
  );
}
