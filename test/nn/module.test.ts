// Parameters found by walking fields: names, order, saving, loading, moving between types.
import assert from "node:assert/strict";
import { test } from "node:test";
import { BatchNorm2d, Conv2d, Linear, ReLU } from "../../src/nn/layers.ts";
import { Identity, Layer, type Module, Sequential } from "../../src/nn/module.ts";
import { scope } from "../../src/tensor/scope.ts";
import { Parameter, randn, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { assertClose } from "../support/assert-close.ts";
import { counted, leakFree } from "../support/leak-free.ts";

/** A field of each kind that parameters are found in. */
class Sample extends Layer {
  readonly stem = new Sequential(new Conv2d(3, 4, 3), new BatchNorm2d(4), new ReLU());
  readonly _ops = [new Identity(), new Conv2d(4, 4, 1, { bias: true })];
  readonly classifier = new Linear(4, 2);
  readonly absent = undefined;

  forward(x: Tensor): Tensor {
    return this._ops[1]!.forward(this.stem.forward(x));
  }
}

const NAMES = [
  "stem.0.weight",
  "stem.1.weight",
  "stem.1.bias",
  "stem.1.running_mean",
  "stem.1.running_var",
  "stem.1.num_batches_tracked",
  "_ops.1.weight",
  "_ops.1.bias",
  "classifier.weight",
  "classifier.bias",
];

test(
  "names are the paths of the fields, in PyTorch's order",
  leakFree(() => {
    using sample = new Sample();
    assert.deepEqual([...sample.stateDict().keys()], NAMES);
    const parameters = NAMES.filter((name) => !/running|tracked/.test(name));
    assert.deepEqual(
      [...sample.namedParameters()].map(([name]) => name),
      parameters,
    );
    assert.deepEqual(
      [...sample.namedBuffers("x.")].map(([name]) => name),
      NAMES.slice(3, 6).map((name) => `x.${name}`),
    );
  }),
);

test(
  "a network disposed leaves no tensor, whether it was made in a scope or not",
  counted(() => {
    new Sample().dispose();
    scope(() => void new Sample().dispose());
  }),
);

test(
  "a state copied into another network makes it compute the same",
  leakFree(() => {
    using a = new Sample();
    using b = new Sample();
    b.loadStateDict(a.stateDict());
    const x = randn([2, 3, 5, 5]);
    assertClose(b.forward(x), a.forward(x), 0, "output");
  }),
);

test(
  "a loaded state is a copy",
  leakFree(() => {
    using a = new Sample();
    using b = new Sample();
    b.loadStateDict(a.stateDict());
    const before = b.classifier.weight.toNumbers();
    a.dispose();
    assert.deepEqual(b.classifier.weight.toNumbers(), before);
  }),
);

test(
  "a state of another network is refused by name and by shape",
  leakFree(() => {
    using sample = new Sample();
    const state = sample.stateDict();
    const without = new Map([...state].filter(([name]) => name !== "classifier.bias"));
    assert.throws(() => sample.loadStateDict(without), /1 missing \(classifier\.bias\), 0 unknown/);
    assert.throws(
      () => sample.loadStateDict(new Map([...state, ["extra", state.get("stem.0.weight")!]])),
      /1 unknown \(extra\)/,
    );
    const misshapen = new Map([...state, ["classifier.bias", tensor([1, 2, 3], [3])]]);
    assert.throws(() => sample.loadStateDict(misshapen), /classifier\.bias .*\[3\], expected \[2\]/);
  }),
);

test(
  "to makes parameters and statistics of another type, and leaves counters integers",
  leakFree(() => {
    using sample = new Sample();
    const before = sample.classifier.weight;
    sample.to({ dtype: "float64" });
    assert.equal(sample.classifier.weight, before);
    const types = new Map([...sample.stateDict()].map(([name, value]) => [name, value.dtype]));
    for (const [name, dtype] of types)
      assert.equal(dtype, name.endsWith("tracked") ? "int64" : "float64", name);
    assert.ok(
      sample.parameters().every((parameter) => parameter instanceof Parameter && parameter.requiresGrad),
    );
  }),
);

test(
  "train and eval reach every layer below",
  leakFree(() => {
    using sample = new Sample();
    const modes = () => new Set([...sample.modules()].map((module: Module) => module.training));
    assert.deepEqual([...modes()], [true]);
    sample.eval();
    assert.deepEqual([...modes()], [false]);
  }),
);
