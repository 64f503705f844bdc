// What PC-DARTS adds to a mixture, by the parts that are here: edge weights in a node's sum, the channel shuffle
// among libtorch's operators, and the pooling that bypasses the candidates on edges of stride 2.
import assert from "node:assert/strict";
import { test } from "node:test";
import { DARTS_PRIMITIVES } from "../../src/space/primitives.ts";
import { SupernetCell, type SupernetOptions } from "../../src/space/supernet.ts";
import { aten } from "../../src/tensor/aten.ts";
import { grad } from "../../src/tensor/autograd.ts";
import { ones, Parameter, randn, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { assertClose } from "../support/assert-close.ts";
import { leakFree } from "../support/leak-free.ts";

const CELL: SupernetOptions = {
  channels: 4,
  cells: 1,
  nodes: 4,
  primitives: DARTS_PRIMITIVES,
  stemMultiplier: 3,
  imageChannels: 3,
  classes: 10,
};
const PLACE = { channels: 4, inputs: [4, 4], reduction: false, afterReduction: false } as const;
const float64 = { dtype: "float64" } as const;

function cellAndInputs() {
  const cell = new SupernetCell(CELL, PLACE).to(float64);
  const [s0, s1] = [randn([2, 4, 6, 6], float64), randn([2, 4, 6, 6], float64)];
  return { cell, s0, s1 };
}

test(
  "edge weights of 1 give the cell and the alpha gradients of DARTS",
  leakFree(() => {
    const { cell, s0, s1 } = cellAndInputs();
    using alphas = new Parameter(randn([14, 8], float64));
    const operations = alphas.softmax(1);
    const plain = cell.forward(s0, s1, { operations });
    const weighted = cell.forward(s0, s1, { operations, edges: ones([14], float64) });
    assertClose(weighted, plain, 1e-12, "cell");
    const cotangent = randn(plain.shape, float64);
    const [a] = grad([plain.mul(cotangent).sum()], [alphas], { retainGraph: true });
    const [b] = grad([weighted.mul(cotangent).sum()], [alphas]);
    assertClose(b!, a!, 1e-12, "alpha gradient");
    cell.dispose();
  }),
);

test(
  "level edge weights of a node divide it by its number of edges: two to five",
  leakFree(() => {
    const { cell, s0, s1 } = cellAndInputs();
    const operations = randn([14, 8], float64).softmax(1);
    const nodeOf = (output: Tensor, node: number) => aten.slice.Tensor(output, 1, 4 * node, 4 * node + 4);
    const plain = cell.forward(s0, s1, { operations });
    for (const [node, count] of [2, 3, 4, 5].entries()) {
      // The nodes before it as they were: it reads them.
      const weights = [2, 3, 4, 5].flatMap((edges, i) =>
        Array<number>(edges).fill(i === node ? 1 / edges : 1),
      );
      const level = cell.forward(s0, s1, { operations, edges: tensor(weights, [14], float64) });
      assertClose(nodeOf(level, node), nodeOf(plain, node).div(count), 1e-12, `node ${node}`);
    }
    cell.dispose();
  }),
);

test(
  "the channel shuffle of eight channels in four groups is 0 2 4 6 1 3 5 7, and the other shuffle undoes it",
  leakFree(() => {
    const x = tensor([0, 1, 2, 3, 4, 5, 6, 7], [1, 8, 1, 1]);
    const shuffled = aten.channel_shuffle.default(x, 4);
    assert.deepEqual(shuffled.toNumbers(), [0, 2, 4, 6, 1, 3, 5, 7]);
    assert.deepEqual(aten.channel_shuffle.default(shuffled, 2).toNumbers(), x.toNumbers());
  }),
);

test(
  "the 2×2 pooling of the bypass has the size of the candidates of stride 2",
  leakFree(() => {
    const cell = new SupernetCell(CELL, { ...PLACE, reduction: true });
    const x = randn([2, 4, 8, 8]);
    const bypass = aten.max_pool2d.default(x, 2, 2);
    const candidates = cell.forward(x, x, { operations: randn([14, 8]).softmax(1) });
    assert.deepEqual(bypass.shape, [2, 4, 4, 4]);
    assert.deepEqual(candidates.shape, [2, 16, 4, 4]);
    cell.dispose();
  }),
);
