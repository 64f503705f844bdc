// Every layer against PyTorch's answers, in float64: output, gradients, running statistics; and initial values.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  AvgPool2d,
  BatchNorm2d,
  Conv2d,
  globalAveragePool,
  Linear,
  MaxPool2d,
  ReLU,
} from "../../src/nn/layers.ts";
import { crossEntropy, topCorrect } from "../../src/nn/loss.ts";
import type { Layer } from "../../src/nn/module.ts";
import { grad } from "../../src/tensor/autograd.ts";
import { seed } from "../../src/tensor/runtime.ts";
import { ones, randn, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { assertClose } from "../support/assert-close.ts";
import { openFixture } from "../support/fixtures.ts";
import { leakFree } from "../support/leak-free.ts";

const fixture = openFixture("layers");
const TOLERANCE = 1e-9;

interface Options {
  stride: [number, number];
  padding: [number, number];
  dilation: [number, number];
  groups: number;
  momentum: number;
  eps: number;
  affine: boolean;
  training: boolean;
}
const options = fixture.json<Record<string, Options>>("options");

/** Cases whose name begins so, without the layer's name. */
const casesOf = (layer: string) => [
  ...new Set(fixture.keys(`${layer}/`).map((key) => key.split("/").slice(0, 2).join("/"))),
];

/** Runs the case's input forward and its cotangent backward, and compares all there is. */
function compare(name: string, forward: (x: Tensor) => Tensor, layer?: Layer): void {
  const x = fixture.tensor(`${name}/input`).setRequiresGrad();
  const output = forward(x);
  assertClose(output, fixture.tensor(`${name}/output`), TOLERANCE, `${name} output`);
  const parameters = layer ? [...layer.namedParameters()] : [];
  const cotangent = fixture.has(`${name}/cotangent`) ? [fixture.tensor(`${name}/cotangent`)] : undefined;
  const inputs = [x, ...parameters.map(([, parameter]) => parameter)];
  const gradients = grad([output], inputs, { gradOutputs: cotangent });
  for (const [i, what] of ["input", ...parameters.map(([key]) => key)].entries()) {
    assertClose(
      gradients[i]!,
      fixture.tensor(`${name}/grad_${what}`),
      TOLERANCE,
      `${name} gradient of ${what}`,
    );
  }
  for (const [key, buffer] of layer?.namedBuffers() ?? []) {
    if (key === "num_batches_tracked") continue;
    assertClose(buffer, fixture.tensor(`${name}/${key}_after`), TOLERANCE, `${name} ${key}`);
  }
}

/** `layer` with the values that the case gives to its parameters and buffers. */
function filled<T extends Layer>(layer: T, name: string): T {
  layer.to({ dtype: "float64" });
  const given = [...layer.stateDict()].map(([key, own]): [string, Tensor] => [
    key,
    key === "num_batches_tracked" ? own : fixture.tensor(`${name}/${key}`),
  ]);
  layer.loadStateDict(new Map(given));
  return layer;
}

for (const name of casesOf("conv2d")) {
  test(
    `${name} is PyTorch's`,
    leakFree(() => {
      const [outChannels, perGroup, ...kernel] = fixture.tensor(`${name}/weight`).shape;
      const { groups } = options[name]!;
      const bias = fixture.has(`${name}/bias`);
      const layer = new Conv2d(perGroup! * groups, outChannels!, kernel as [number, number], {
        ...options[name],
        bias,
      });
      using conv = filled(layer, name);
      compare(name, (x) => conv.forward(x), conv);
    }),
  );
}

for (const name of casesOf("batch_norm")) {
  test(
    `${name} is PyTorch's`,
    leakFree(() => {
      using norm = filled(new BatchNorm2d(4, options[name]), name);
      norm.train(options[name]!.training);
      compare(name, (x) => norm.forward(x), norm);
      assert.equal(norm.num_batches_tracked.item(), options[name]!.training ? 1 : 0);
    }),
  );
}

test(
  "linear/bias is PyTorch's",
  leakFree(() => {
    using linear = filled(new Linear(7, 5), "linear/bias");
    compare("linear/bias", (x) => linear.forward(x), linear);
  }),
);

const functions: [string, (x: Tensor) => Tensor][] = [
  ["max_pool2d/3x3", (x) => new MaxPool2d(3, { stride: 1, padding: 1 }).forward(x)],
  ["max_pool2d/3x3-stride2", (x) => new MaxPool2d(3, { stride: 2, padding: 1 }).forward(x)],
  ["avg_pool2d/3x3", (x) => new AvgPool2d(3, { stride: 1, padding: 1 }).forward(x)],
  ["avg_pool2d/3x3-stride2", (x) => new AvgPool2d(3, { stride: 2, padding: 1 }).forward(x)],
  ["avg_pool2d/5x5-stride3", (x) => new AvgPool2d(5, { stride: 3 }).forward(x)],
  ["avg_pool2d/5x5-stride2", (x) => new AvgPool2d(5, { stride: 2 }).forward(x)],
  ["adaptive_avg_pool2d/1", (x) => globalAveragePool(x).reshape([...x.shape.slice(0, 2), 1, 1])],
  ["relu", (x) => new ReLU().forward(x)],
  ["softmax", (x) => x.softmax(-1)],
  ["log_softmax", (x) => x.logSoftmax(-1)],
  ["cross_entropy/plain", (x) => crossEntropy(x, fixture.tensor("cross_entropy/plain/target"))],
  [
    "cross_entropy/smoothing",
    (x) => crossEntropy(x, fixture.tensor("cross_entropy/smoothing/target"), { labelSmoothing: 0.1 }),
  ],
];
for (const [name, forward] of functions)
  test(
    `${name} is PyTorch's`,
    leakFree(() => compare(name, forward)),
  );

test(
  "an average pool does not count the padding",
  leakFree(() => {
    assertClose(
      new AvgPool2d(3, { stride: 1, padding: 1 }).forward(ones([1, 1, 4, 4])),
      Array(16).fill(1),
      1e-6,
      "ones",
    );
  }),
);

// torch.manual_seed(3); torch.nn.Conv2d(3, 4, 3): the first three weights, the last one, the bias
test(
  "a convolution starts with PyTorch's values under the same seed",
  leakFree(() => {
    seed(3);
    using conv = new Conv2d(3, 4, 3, { bias: true });
    const weight = conv.weight.toNumbers();
    const first = [-0.19080905616283417, -0.15181642770767212, -0.08242926746606827];
    assertClose(weight.slice(0, 3), first, 1e-6, "first weights");
    assertClose(weight.at(-1)!, -0.07149934023618698, 1e-6, "last weight");
    const bias = [0.11466041952371597, -0.13451768457889557, 0.08356619626283646, 0.09974973648786545];
    assertClose(conv.bias!, bias, 1e-6, "bias");
  }),
);

// torch.manual_seed(3); torch.nn.Conv2d(8, 8, 5, groups=8, bias=False).weight.flatten()[:3]
test(
  "a depthwise convolution starts with PyTorch's values under the same seed",
  leakFree(() => {
    seed(3);
    using conv = new Conv2d(8, 8, 5, { groups: 8 });
    const first = [-0.19829459488391876, -0.1577722579240799, -0.08566301316022873];
    assertClose(conv.weight.toNumbers().slice(0, 3), first, 1e-6, "first weights");
  }),
);

// torch.manual_seed(3); torch.nn.Linear(6, 4): the first three weights, the bias
test(
  "a linear layer starts with PyTorch's values under the same seed",
  leakFree(() => {
    seed(3);
    using linear = new Linear(6, 4);
    const first = [-0.40476715564727783, -0.3220512866973877, -0.17485889792442322];
    assertClose(linear.weight.toNumbers().slice(0, 3), first, 1e-6, "first weights");
    const bias = [-0.2605626881122589, -0.2549794912338257, -0.16922324895858765, 0.08140362054109573];
    assertClose(linear.bias, bias, 1e-6, "bias");
  }),
);

test(
  "batch normalisation starts as the identity on a standard normal input in evaluation",
  leakFree(() => {
    using norm = new BatchNorm2d(2);
    norm.eval();
    const x = randn([3, 2, 4, 4]);
    assertClose(norm.forward(x), x.div(Math.sqrt(1 + 1e-5)), 1e-6, "x / √(1 + ε)");
  }),
);

test(
  "top-k accuracy counts rows whose target is among the k largest",
  leakFree(() => {
    const logits = tensor([9, 5, 1, 0, 1, 9, 5, 0, 0, 1, 5, 9], [3, 4]);
    const targets = tensor([0, 2, 1], [3], { dtype: "int64" });
    assert.deepEqual(
      [1, 2, 3, 9].map((k) => topCorrect(logits, targets, k)),
      [1, 2, 3, 3],
    );
  }),
);
