// Gradients in both forms, gradients of gradients, and the mode that records nothing.
import assert from "node:assert/strict";
import { test } from "node:test";
import { backward, clearGradient, grad, gradientOf, noGrad } from "../../src/tensor/autograd.ts";
import { Parameter, scalar, tensor } from "../../src/tensor/tensor.ts";
import { assertClose } from "../support/assert-close.ts";
import { leakFree } from "../support/leak-free.ts";

const leaf = (value: number) => new Parameter(scalar(value, { dtype: "float64" }));

test(
  "grad gives the derivative in each input",
  leakFree(() => {
    using x = leaf(3);
    using y = leaf(4);
    const [dx, dy] = grad([x.mul(x).mul(y)], [x, y]);
    assertClose(dx!, 24, 0, "2xy");
    assertClose(dy!, 9, 0, "x²");
  }),
);

test(
  "an input without a part in the output has no gradient",
  leakFree(() => {
    using x = leaf(3);
    using y = leaf(4);
    const [dx, dy] = grad([x.mul(2)], [x, y]);
    assertClose(dx!, 2, 0, "the one used");
    assert.equal(dy, undefined);
  }),
);

test(
  "grad leaves accumulated gradients alone",
  leakFree(() => {
    using x = leaf(3);
    grad([x.mul(x)], [x]);
    assert.equal(gradientOf(x), undefined);
  }),
);

test(
  "cotangents weigh the outputs",
  leakFree(() => {
    using x = new Parameter(tensor([1, 2], [2], { dtype: "float64" }));
    const [dx] = grad([x.mul(x)], [x], { gradOutputs: [tensor([10, 100], [2], { dtype: "float64" })] });
    assertClose(dx!, [20, 400], 0, "J·v");
  }),
);

test(
  "backward accumulates until the gradient is cleared",
  leakFree(() => {
    using x = leaf(3);
    backward(x.mul(x));
    backward(x.mul(x));
    assertClose(gradientOf(x)!, 12, 0, "twice 2x");
    clearGradient(x);
    assert.equal(gradientOf(x), undefined);
  }),
);

test(
  "createGraph gives gradients of gradients",
  leakFree(() => {
    using x = leaf(2);
    const [first] = grad([x.mul(x).mul(x)], [x], { createGraph: true });
    const [second] = grad([first!], [x]);
    assertClose(first!, 12, 0, "3x²");
    assertClose(second!, 12, 0, "6x");
  }),
);

test(
  "a graph serves once, unless it is retained",
  leakFree(() => {
    using x = leaf(2);
    const y = x.mul(x);
    grad([y], [x], { retainGraph: true });
    grad([y], [x]);
    assert.throws(() => grad([y], [x]), /^Error: grad: .*second time/);
  }),
);

test(
  "noGrad records nothing",
  leakFree(() => {
    using x = leaf(2);
    assert.equal(noGrad(() => x.mul(x)).requiresGrad, false);
    assert.equal(x.mul(x).requiresGrad, true);
    assert.equal(x.mul(x).detach().requiresGrad, false);
  }),
);

test(
  "noGrad restores the mode after an exception, nested as well",
  leakFree(() => {
    using x = leaf(2);
    const fail = () =>
      noGrad(() => {
        throw new Error("stop");
      });
    assert.throws(fail, /stop/);
    assert.equal(x.mul(x).requiresGrad, true);
    noGrad(() => {
      assert.throws(fail, /stop/);
      assert.equal(x.mul(x).requiresGrad, false);
    });
  }),
);

test(
  "an output without a graph is a mistake with a clear message",
  leakFree(() => {
    using x = leaf(2);
    assert.throws(() => grad([scalar(1)], [x]), /^Error: grad: .*require grad/);
  }),
);
