// The derived network: names, counts and shapes as published; forward, drop-path and training steps as PyTorch's.
import assert from "node:assert/strict";
import { test } from "node:test";
import { countNetwork } from "../../src/genotype/counts.ts";
import type { Genotype } from "../../src/genotype/genotype.ts";
import { findGenotype } from "../../src/genotype/published.ts";
import { crossEntropy } from "../../src/nn/loss.ts";
import { clipGradNorm } from "../../src/optim/clip.ts";
import { SGD } from "../../src/optim/sgd.ts";
import type { DropPath } from "../../src/space/drop-path.ts";
import { Network, type NetworkOptions } from "../../src/space/network.ts";
import { grad, noGrad } from "../../src/tensor/autograd.ts";
import { randn, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { assertAllClose, assertClose } from "../support/assert-close.ts";
import { openFixture, publishedNames } from "../support/fixtures.ts";
import { leakFree } from "../support/leak-free.ts";

const TOLERANCE = 1e-9;
const CIFAR: NetworkOptions = {
  genotype: findGenotype("DARTS_V2"),
  channels: 36,
  cells: 20,
  classes: 10,
  imageChannels: 3,
  imageSize: 32,
  stem: "cifar",
  auxiliary: true,
};
const IMAGENET: NetworkOptions = {
  ...CIFAR,
  channels: 48,
  cells: 14,
  classes: 1000,
  imageSize: 224,
  stem: "imagenet",
};

for (const [kind, options] of [
  ["cifar", CIFAR],
  ["imagenet", IMAGENET],
] as const) {
  test(
    `the ${kind} network has the published names and shapes, in the published order`,
    leakFree(() => {
      using net = new Network(options);
      const names = [...net.stateDict()].map(([name, { shape }]) => [name, shape]);
      // The classifier of the auxiliary head is a child of it, listed as PyTorch does.
      assert.deepEqual(names, publishedNames()[kind]);
    }),
  );
}

const counts: [string, NetworkOptions, body: number, withAux: number][] = [
  ["DARTS_V2 on CIFAR-10", CIFAR, 3_349_342, 3_825_768],
  ["DARTS_V2 on ImageNet", IMAGENET, 4_718_752, 4_718_752 + 1_260_776],
  ["DARTS_V1 on CIFAR-10", { ...CIFAR, genotype: findGenotype("DARTS_V1") }, 3_169_414, 3_645_840],
  ["PDARTS on CIFAR-10", { ...CIFAR, genotype: findGenotype("PDARTS") }, 3_433_798, 3_910_224],
  ["NASNet on CIFAR-10", { ...CIFAR, genotype: findGenotype("NASNet") }, 3_830_950, 4_288_944],
  ["GDAS_F1 on CIFAR-10", { ...CIFAR, genotype: findGenotype("GDAS_F1") }, 2_543_014, 3_019_440],
];
for (const [name, options, body, withAux] of counts) {
  test(
    `${name} has ${body.toLocaleString("en")} weights, built and counted`,
    leakFree(() => {
      using net = new Network(options);
      const sizes = [...net.namedParameters()].map(([key, { numel }]): [string, number] => [key, numel]);
      const sum = (list: [string, number][]) => list.reduce((total, [, numel]) => total + numel, 0);
      assert.equal(sum(sizes.filter(([key]) => !key.includes("auxiliary"))), body);
      assert.equal(sum(sizes), withAux);
      const { params, paramsWithAux } = countNetwork(options.genotype, options);
      assert.deepEqual([params, paramsWithAux], [body, withAux]);
    }),
  );
}

test(
  "cells of the evaluation network have the published shapes",
  leakFree(() => {
    using net = new Network(CIFAR);
    const shapes: string[] = [];
    noGrad(() => {
      let s0 = net.stem!.forward(randn([2, 3, 32, 32]));
      let s1 = s0;
      for (const cell of net.cells) {
        const output = cell.forward(s0, s1, { probability: 0 });
        shapes.push(`${s0.shape[1]}@${s0.shape[2]},${s1.shape[1]}>${output.shape[1]}@${output.shape[2]}`);
        [s0, s1] = [s1, output];
      }
    });
    const expected = [
      "108@32,108>144@32",
      "108@32,144>144@32",
      ...Array(4).fill("144@32,144>144@32"),
      "144@32,144>288@16",
      "144@32,288>288@16",
      ...Array(5).fill("288@16,288>288@16"),
      "288@16,288>576@8",
      "288@16,576>576@8",
      ...Array(5).fill("576@8,576>576@8"),
    ];
    assert.deepEqual(shapes, expected);
  }),
);

test(
  "the auxiliary head answers in training only",
  leakFree(() => {
    using net = new Network({ ...CIFAR, channels: 4, cells: 3 });
    const images = randn([2, 3, 32, 32]);
    assert.deepEqual(net.forward(images).auxiliary?.shape, [2, 10]);
    net.eval();
    assert.equal(net.forward(images).auxiliary, undefined);
  }),
);

test(
  "images that are not square go through cells and auxiliary head, with the counted weights",
  leakFree(() => {
    const shape = { channels: 4, cells: 3, classes: 5, imageChannels: 4, imageSize: [20, 36] as const };
    for (const stem of ["cifar", "imagenet"] as const) {
      const imageSize = stem === "cifar" ? shape.imageSize : ([96, 160] as const);
      const options = { ...CIFAR, ...shape, imageSize, stem, auxiliary: true };
      using net = new Network(options);
      const { logits, auxiliary } = net.forward(randn([2, 4, ...imageSize]));
      assert.deepEqual(
        [logits.shape, auxiliary?.shape],
        [
          [2, 5],
          [2, 5],
        ],
      );
      const weights = net.parameters().reduce((sum, { numel }) => sum + numel, 0);
      assert.equal(weights, countNetwork(options.genotype, options).paramsWithAux);
    }
  }),
);

const fixture = openFixture("network");
interface Settings extends Omit<NetworkOptions, "imageChannels" | "imageSize" | "stem" | "auxiliary"> {
  genotype: Genotype;
  size: number;
  dropPathProb: number;
  auxiliaryWeight: number;
  learningRate: number;
  momentum: number;
  weightDecay: number;
  gradClip: number;
  imagenet: { channels: number; labelSmoothing: number };
}
const settings = fixture.json<Settings>("hyperparameters");
const large = fixture.json<{ names: string[]; stride: number }>("large");
const small: NetworkOptions = {
  ...settings,
  imageChannels: 3,
  imageSize: settings.size,
  stem: "cifar",
  auxiliary: true,
};

/** The network of the fixtures, in float64. */
function create(options: NetworkOptions, weights: ReadonlyMap<string, Tensor>): Network {
  const net = new Network(options).to({ dtype: "float64" });
  const given = [...net.stateDict()].map(([name, own]): [string, Tensor] => [
    name,
    weights.get(name) ?? byFormula(name, own),
  ]);
  net.loadStateDict(new Map(given));
  return net;
}

/** Large weights are not in the fixtures: they follow the formula of their metadata. */
function byFormula(name: string, { numel, shape }: Tensor): Tensor {
  assert.ok(large.names.includes(name), `${name} is missing in the fixtures`);
  const values = Float64Array.from({ length: numel }, (_, i) => 0.1 * (((i * 7919) % 1009) / 1009 - 0.5));
  return tensor(values, shape, { dtype: "float64" });
}

/** Compares with `prefix/…`, and every n-th element of the large ones with `prefix_strided/…`. */
function compareAll(actual: ReadonlyMap<string, Tensor | undefined>, prefix: string): void {
  assertAllClose(actual, fixture.under(prefix), TOLERANCE, prefix);
  for (const [name, expected] of fixture.under(`${prefix}_strided`)) {
    const some = actual
      .get(name)!
      .toNumbers()
      .filter((_, i) => i % large.stride === 0);
    assertClose(some, expected.toNumbers(), TOLERANCE, `${prefix} ${name}`);
  }
}

/** Drop-path that gives out the rows of `masks` one after the other. */
function replay(masks: Tensor, probability: number): DropPath & { used: number } {
  const replayed = {
    probability,
    used: 0,
    draw: (_path: Tensor, keepProbability: number) => {
      assert.equal(keepProbability, 1 - probability);
      return masks.select(0, replayed.used++).reshape([-1, 1, 1, 1]);
    },
  };
  return replayed;
}

test(
  "logits in evaluation are PyTorch's",
  leakFree(() => {
    using net = create(small, fixture.under("weights"));
    net.eval();
    assertClose(
      net.forward(fixture.tensor("step1/images")).logits,
      fixture.tensor("eval_logits"),
      TOLERANCE,
      "logits",
    );
  }),
);

test(
  "two training steps with drop-path and auxiliary head are PyTorch's",
  leakFree(() => {
    using net = create(small, fixture.under("weights"));
    const optimizer = new SGD(net.parameters(), settings);
    for (const step of ["step1", "step2"]) {
      const masks = fixture.tensor(`${step}/masks`);
      const drop = replay(masks, settings.dropPathProb);
      const { logits, auxiliary } = net.forward(fixture.tensor(`${step}/images`), drop);
      assert.equal(drop.used, masks.shape[0], "masks drawn");
      assertClose(logits, fixture.tensor(`${step}/logits`), TOLERANCE, `${step} logits`);
      assertClose(auxiliary!, fixture.tensor(`${step}/logits_aux`), TOLERANCE, `${step} auxiliary logits`);

      const labels = fixture.tensor(`${step}/labels`);
      const loss = crossEntropy(logits, labels).add(
        crossEntropy(auxiliary!, labels).mul(settings.auxiliaryWeight),
      );
      assertClose(loss, fixture.tensor(`${step}/loss`), TOLERANCE, `${step} loss`);
      const gradients = grad([loss], net.parameters());
      const named = new Map([...net.namedParameters()].map(([name], i) => [name, gradients[i]]));
      if (step === "step1") compareAll(named, "step1/grads");
      const norm = clipGradNorm(gradients, settings.gradClip);
      assertClose(norm, fixture.tensor(`${step}/grad_norm`).item(), TOLERANCE, `${step} gradient norm`);
      optimizer.step(gradients);
    }
    compareAll(net.stateDict(), "weights_after");
    assertAllClose(net.stateDict(), fixture.under("buffers_after"), TOLERANCE, "statistics");
    optimizer.dispose();
  }),
);

test(
  "the ImageNet network computes PyTorch's logits and gradients, with label smoothing",
  leakFree(() => {
    const { channels, labelSmoothing } = settings.imagenet;
    using net = create(
      { ...small, channels, stem: "imagenet", auxiliary: false },
      fixture.under("imagenet/weights"),
    );
    const images = fixture.tensor("step1/images");
    net.eval();
    assertClose(
      net.forward(images).logits,
      fixture.tensor("imagenet/eval_logits"),
      TOLERANCE,
      "logits in evaluation",
    );
    net.train();
    const { logits } = net.forward(images);
    assertClose(logits, fixture.tensor("imagenet/logits"), TOLERANCE, "logits");
    const loss = crossEntropy(logits, fixture.tensor("step1/labels"), { labelSmoothing });
    assertClose(loss, fixture.tensor("imagenet/loss"), TOLERANCE, "loss");
    const gradients = grad([loss], net.parameters());
    const named = new Map([...net.namedParameters()].map(([name], i) => [name, gradients[i]]));
    assertAllClose(named, fixture.under("imagenet/grads"), TOLERANCE, "gradient of");
  }),
);
