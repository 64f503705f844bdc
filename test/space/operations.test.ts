// The contract of candidate operations: every primitive, stride and affine flag against PyTorch, in float64 —
// output, gradients of input and weights, running statistics — and what must hold for all of them.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Layer } from "../../src/nn/module.ts";
import { supernetOperation } from "../../src/space/mixed-op.ts";
import { FactorizedReduce, OPERATIONS, operationBuilder, ReLUConvBN } from "../../src/space/operations.ts";
import { PRIMITIVES, type Primitive } from "../../src/space/primitives.ts";
import { aten } from "../../src/tensor/aten.ts";
import { grad } from "../../src/tensor/autograd.ts";
import { randn, type Tensor } from "../../src/tensor/tensor.ts";
import { assertAllClose, assertClose } from "../support/assert-close.ts";
import { openFixture } from "../support/fixtures.ts";
import { leakFree } from "../support/leak-free.ts";

const fixture = openFixture("operations");
const { channels, preprocessChannelsIn } = fixture.json<Record<string, number>>("hyperparameters");
const TOLERANCE = 1e-9;
const STRIDES = [1, 2];

/** Channels in the fixtures: the grouped convolution needs more than the others. */
function channelsOf(primitive: Primitive): number {
  return primitive === "group_conv_3x1_1x3" ? 8 : channels!;
}

/** The layer that a case of the fixtures is about, by the case's name. */
function build(name: string): Layer {
  const [kind, place, variant] = name.split("/") as [string, string, string];
  if (kind === "relu_conv_bn") return new ReLUConvBN(preprocessChannelsIn!, channels!, place === "affine");
  if (kind === "factorized_reduce")
    return new FactorizedReduce(preprocessChannelsIn!, channels!, place === "affine");
  const [primitive, withNorm] = kind.split("+") as [Primitive, string?];
  const stride = Number(place.slice(1));
  if (withNorm) return supernetOperation(primitive, { channels: channels!, stride });
  return operationBuilder(primitive)(channelsOf(primitive), stride, variant === "affine");
}

const cases = [
  ...new Set(fixture.keys().map((key) => /^(.*)\/(?:input|output|cotangent|grad_input)$/.exec(key)?.[1])),
].filter((name) => name !== undefined);

for (const name of cases) {
  test(
    `${name}: output, gradients and statistics are PyTorch's`,
    leakFree(() => {
      using layer = build(name).to({ dtype: "float64" });
      load(layer, fixture.under(`${name}/weights`));
      const x = fixture.tensor(`${name}/input`).setRequiresGrad();
      const output = layer.forward(x);
      assertClose(output, fixture.tensor(`${name}/output`), TOLERANCE, `${name} output`);

      const parameters = [...layer.namedParameters()];
      const gradients = grad([output], [x, ...parameters.map(([, parameter]) => parameter)], {
        gradOutputs: [fixture.tensor(`${name}/cotangent`)],
      });
      assertClose(
        gradients[0]!,
        fixture.tensor(`${name}/grad_input`),
        TOLERANCE,
        `${name} gradient of the input`,
      );
      const byName = new Map(parameters.map(([key], i) => [key, gradients[i + 1]]));
      assert.deepEqual(new Set(byName.keys()), new Set(fixture.under(`${name}/grads`).keys()));
      if (byName.size > 0)
        assertAllClose(byName, fixture.under(`${name}/grads`), TOLERANCE, `${name} gradient of`);

      const statistics = fixture.under(`${name}/buffers_after`);
      assert.deepEqual(new Set(buffersOf(layer).keys()), new Set(statistics.keys()));
      if (statistics.size > 0) assertAllClose(buffersOf(layer), statistics, TOLERANCE, name);
    }),
  );
}

test("the fixtures hold every primitive at both strides", () => {
  for (const primitive of PRIMITIVES) {
    for (const stride of STRIDES)
      assert.ok(cases.includes(`${primitive}/s${stride}/plain`), `${primitive} ${stride}`);
  }
});

for (const primitive of PRIMITIVES) {
  test(
    `${primitive} keeps the channels and halves odd and even sizes with rounding up`,
    leakFree(() => {
      for (const stride of STRIDES) {
        const count = channelsOf(primitive);
        using layer = OPERATIONS[primitive](count, stride, true);
        for (const [height, width] of [
          [8, 8],
          [7, 7],
          [5, 8],
          [8, 5],
        ] as const) {
          const expected = [2, count, Math.ceil(height / stride), Math.ceil(width / stride)];
          assert.deepEqual(
            layer.forward(randn([2, count, height, width])).shape,
            expected,
            `stride ${stride}`,
          );
        }
      }
    }),
  );

  test(
    `${primitive} has scale and shift in its normalisation only when affine`,
    leakFree(() => {
      for (const stride of STRIDES) {
        using affine = OPERATIONS[primitive](channelsOf(primitive), stride, true);
        using plain = OPERATIONS[primitive](channelsOf(primitive), stride, false);
        const vectors = (layer: Layer) => layer.parameters().filter(({ shape }) => shape.length === 1).length;
        const norms = plain.buffers().length / 3;
        assert.deepEqual([vectors(plain), vectors(affine)], [0, 2 * norms]);
      }
    }),
  );

  test(
    `${primitive} normalises its output in the supernet, unless it computes nothing`,
    leakFree(() => {
      for (const stride of STRIDES) {
        using layer = supernetOperation(primitive, { channels: channelsOf(primitive), stride });
        const silent = primitive === "none" || (primitive === "skip_connect" && stride === 1);
        assert.equal(layer.buffers().length > 0, !silent);
        assert.ok(
          layer.parameters().every(({ shape }) => shape.length === 4),
          "no affine parameters",
        );
      }
    }),
  );
}

test(
  "a factorized reduction of an odd image sees a border of zeros",
  leakFree(() => {
    using layer = new FactorizedReduce(2, 4, false);
    layer.eval();
    const x = aten.abs.default(randn([1, 2, 5, 5])); // that no zero comes from the ReLU
    // The last row and column of the second half come from outside the image.
    const second = layer.forward(x).toNumbers().slice(18);
    assert.deepEqual([second[2], second[5], second[6], second[7], second[8]].map(Math.abs), [0, 0, 0, 0, 0]);
    assert.notEqual(second[0], 0);
  }),
);

test("a grouped convolution of channels that its groups do not divide is refused", () => {
  assert.throws(() => OPERATIONS.group_conv_3x1_1x3(12, 2, true), {
    name: "UserError",
    message:
      /got 12 channels, expected a multiple of its 8 groups\. .* train\.channels to a multiple of 4\.$/,
  });
});

test("a factorized reduction to an odd number of channels is refused", () => {
  assert.throws(() => new FactorizedReduce(2, 3, false), /even number of channels, got 3/);
});

function load(layer: Layer, weights: ReadonlyMap<string, Tensor>): void {
  layer.loadStateDict(new Map([...layer.stateDict(), ...weights]));
}

function buffersOf(layer: Layer): Map<string, Tensor> {
  return new Map([...layer.namedBuffers()].filter(([name]) => !name.endsWith("num_batches_tracked")));
}
