// Drop-path: what it makes of a path, on average and in each image, and when it does nothing.
import assert from "node:assert/strict";
import { test } from "node:test";
import { findGenotype } from "../../src/genotype/published.ts";
import { dropPath } from "../../src/space/drop-path.ts";
import { Network } from "../../src/space/network.ts";
import { grad } from "../../src/tensor/autograd.ts";
import { seed } from "../../src/tensor/runtime.ts";
import { ones, Parameter, randn } from "../../src/tensor/tensor.ts";
import { assertClose } from "../support/assert-close.ts";
import { leakFree } from "../support/leak-free.ts";

test(
  "every image is dropped as a whole, or scaled as a whole",
  leakFree(() => {
    seed(1);
    const rows = dropPath(ones([200, 3, 4, 4]), { probability: 0.3 })
      .reshape([200, 48])
      .toRows();
    const values = rows.map((row) => [...new Set(row)]);
    assert.ok(
      values.every((row) => row.length === 1),
      "one value in an image",
    );
    const scaled = Math.fround(1 / Math.fround(0.7));
    assert.deepEqual(
      new Set(values.flat().map((value) => value.toFixed(5))),
      new Set(["0.00000", scaled.toFixed(5)]),
    );
  }),
);

test(
  "the mean over many images is the path itself",
  leakFree(() => {
    seed(2);
    const images = 100_000;
    // Standard error √(p / (1 − p)) / √n = 0.0021; the tolerance is five of them.
    assertClose(dropPath(ones([images, 1, 1, 1]), { probability: 0.3 }).mean(), 1, 0.0104, "mean");
  }),
);

test(
  "a probability of 0 gives the path itself and draws nothing",
  leakFree(() => {
    const x = randn([2, 3]);
    const fail = () => {
      throw new Error("drawn");
    };
    assert.equal(dropPath(x, { probability: 0, draw: fail }), x);
  }),
);

test(
  "the gradient of a dropped image is zero",
  leakFree(() => {
    using x = new Parameter(ones([64, 1, 1, 1]));
    seed(3);
    const y = dropPath(x, { probability: 0.5 });
    const [dx] = grad([y.sum()], [x]);
    assertClose(dx!, y, 1e-6, "gradient and output agree");
  }),
);

test(
  "a network in evaluation drops nothing, in training it does",
  leakFree(() => {
    const options = {
      genotype: findGenotype("DARTS_V2"),
      channels: 4,
      cells: 3,
      classes: 10,
      imageChannels: 3,
    } as const;
    using net = new Network({ ...options, imageSize: 16, stem: "cifar", auxiliary: false });
    const images = randn([4, 3, 16, 16]);
    const drop = { probability: 0.9 };
    net.eval();
    assertClose(net.forward(images, drop).logits, net.forward(images).logits, 0, "evaluation");
    net.train();
    assert.notDeepEqual(net.forward(images, drop).logits.toNumbers(), net.forward(images).logits.toNumbers());
  }),
);
