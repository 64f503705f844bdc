// The supernet: names, counts and shapes as published; forward and gradients as PyTorch's.
import assert from "node:assert/strict";
import { test } from "node:test";
import { countSupernet } from "../../src/genotype/counts.ts";
import { crossEntropy } from "../../src/nn/loss.ts";
import { MixedOp } from "../../src/space/mixed-op.ts";
import { DARTS_PRIMITIVES } from "../../src/space/primitives.ts";
import { type Mixture, Supernet, type SupernetCell, type SupernetOptions } from "../../src/space/supernet.ts";
import { grad, noGrad } from "../../src/tensor/autograd.ts";
import { full, Parameter, randn, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { assertAllClose, assertClose } from "../support/assert-close.ts";
import { openFixture, publishedNames } from "../support/fixtures.ts";
import { leakFree } from "../support/leak-free.ts";

const TOLERANCE = 1e-9;
const DARTS: SupernetOptions = {
  channels: 16,
  cells: 8,
  nodes: 4,
  primitives: DARTS_PRIMITIVES,
  stemMultiplier: 3,
  imageChannels: 3,
  classes: 10,
};

const parametersOf = (net: Supernet) => net.parameters().reduce((sum, { numel }) => sum + numel, 0);
const mixtureOf = (normal: Tensor, reduce: Tensor): Mixture => ({
  normal: { operations: normal.softmax(1) },
  reduce: { operations: reduce.softmax(1) },
});

test(
  "the state_dict has the published names and shapes, in the published order",
  leakFree(() => {
    using net = new Supernet(DARTS);
    const names = [...net.stateDict()].map(([name, { shape }]) => [name, shape]);
    assert.deepEqual(names, publishedNames().supernet);
  }),
);

const counts: [string, SupernetOptions, number][] = [
  ["CIFAR-10", DARTS, 1_930_618],
  ["CIFAR-100", { ...DARTS, classes: 100 }, 1_953_748],
  ["the depth-20 ablation", { ...DARTS, channels: 6, cells: 20 }, 897_640],
];
for (const [name, options, published] of counts) {
  test(
    `the supernet for ${name} has ${published.toLocaleString("en")} weights, built and counted`,
    leakFree(() => {
      using net = new Supernet(options);
      assert.equal(parametersOf(net), published);
      assert.equal(countSupernet({ ...options, nodes: 4 }).params, published);
    }),
  );
}

test(
  "cells of the search network have the published shapes",
  leakFree(() => {
    using net = new Supernet(DARTS);
    const mixture = mixtureOf(full([14, 8], 0), full([14, 8], 0));
    const shapes: string[] = [];
    noGrad(() => {
      let [s0, s1] = [net.stem!.forward(randn([2, 3, 32, 32])), undefined as Tensor | undefined];
      s1 = s0;
      for (const cell of net.cells as readonly SupernetCell[]) {
        [s0, s1] = [s1!, cell.forward(s0, s1!, cell.reduction ? mixture.reduce : mixture.normal)];
        shapes.push(`${s1.shape[1]}@${s1.shape[2]}`);
      }
    });
    assert.equal(shapes.join(" "), "64@32 64@32 128@16 128@16 128@16 256@8 256@8 256@8");
  }),
);

/** Where the fixture holds a network's weights, its one batch, and what it makes of it. */
const networks = [
  {
    name: "three cells, all primitives",
    prefix: "",
    batch: "batches/train1/",
    answers: "forward/",
    deep: false,
  },
  {
    name: "four cells, three nodes, grey images",
    prefix: "deep/",
    batch: "deep/",
    answers: "deep/",
    deep: true,
  },
];
for (const { name, prefix, batch, answers, deep } of networks) {
  test(
    `forward, loss and every gradient are PyTorch's: ${name}`,
    leakFree(() => {
      const fixture = openFixture("supernet");
      const all = fixture.json<Record<string, SupernetOptions>>("hyperparameters");
      const shape = deep ? all.deep : (all as unknown as SupernetOptions);
      using net = new Supernet(shape).to({ dtype: "float64" });
      net.loadStateDict(fixture.under(`${prefix}weights`));
      using normal = new Parameter(fixture.tensor(`${prefix}alphas_normal`));
      using reduce = new Parameter(fixture.tensor(`${prefix}alphas_reduce`));
      const images = fixture.tensor(`${batch}images`);

      const logits = net.forward(images, mixtureOf(normal, reduce));
      const loss = crossEntropy(logits, fixture.tensor(`${batch}labels`));
      assertClose(logits, fixture.tensor(`${answers}logits`), TOLERANCE, "logits");
      assertClose(loss, fixture.tensor(`${answers}loss`), TOLERANCE, "loss");

      const names = ["alphas_normal", "alphas_reduce", ...[...net.namedParameters()].map(([key]) => key)];
      const gradients = grad([loss], [normal, reduce, ...net.parameters()]);
      const byName = new Map(names.map((key, i) => [key, gradients[i]]));
      assertAllClose(byName, fixture.under(`${answers}grads`), TOLERANCE, "gradient of");

      net.eval();
      const evalLogits = net.forward(images, mixtureOf(normal, reduce));
      assertClose(evalLogits, fixture.tensor(`${answers}eval_logits`), TOLERANCE, "logits in evaluation");
    }),
  );
}

test(
  "a mixed operation with equal weights is the mean of its candidates",
  leakFree(() => {
    const context = { channels: 4, stride: 2, primitives: DARTS_PRIMITIVES, edge: 0, reduction: true };
    using mixed = new MixedOp(context);
    const x = randn([2, 4, 6, 6]);
    const outputs = mixed._ops.map((operation) => operation!.forward(x));
    const mean = outputs.reduce((a, b) => a.add(b)).div(8);
    assertClose(mixed.forward(x, full([8], 1 / 8)), mean, 1e-6, "mean");
  }),
);

test(
  "a mixed operation evaluates only its active candidates",
  leakFree(() => {
    using mixed = new MixedOp({
      channels: 4,
      stride: 1,
      primitives: DARTS_PRIMITIVES,
      edge: 0,
      reduction: false,
    });
    const x = randn([2, 4, 6, 6]);
    const weights = tensor([0, 0, 0, 0.25, 0, 0, 0, 0.5], [8]);
    assertClose(mixed.forward(x, weights, [3]), x.mul(0.25), 1e-6, "skip alone");
    assertClose(mixed.forward(x, weights, [0]), x.mul(0), 0, "none alone");
    assert.deepEqual(
      mixed._ops[4]!.buffers().at(-1)!.item(),
      0,
      "batches seen by a candidate that is not active",
    );
  }),
);

test(
  "edges with weights of their own scale their node's terms",
  leakFree(() => {
    using net = new Supernet({ ...DARTS, channels: 2, cells: 1, nodes: 1, primitives: ["skip_connect"] });
    net.eval();
    const [cell] = net.cells;
    const [s0, s1] = [randn([1, 6, 4, 4]), randn([1, 6, 4, 4])];
    const operations = full([2, 1], 1);
    // The only cell is a reduction cell, so a weight of 0 leaves the other edge alone.
    const [both, first, second] = [
      [1, 1],
      [1, 0],
      [0, 1],
    ].map((edges) => cell!.forward(s0, s1, { operations, edges: tensor(edges, [2]) }));
    assertClose(first!.add(second!), both!, 1e-5, "sum");
    assertClose(both!, cell!.forward(s0, s1, { operations }), 1e-6, "weights of 1");
  }),
);
