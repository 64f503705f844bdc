// The optimizers against PyTorch's, step by step in float64; saving and continuing; gradients that are absent.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Adam } from "../../src/optim/adam.ts";
import { clipGradNorm, globalNorm } from "../../src/optim/clip.ts";
import type { Optimizer } from "../../src/optim/optimizer.ts";
import { SGD } from "../../src/optim/sgd.ts";
import { noGrad } from "../../src/tensor/autograd.ts";
import { ones, Parameter, scalar, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { assertClose } from "../support/assert-close.ts";
import { disposing } from "../support/dispose.ts";
import { openFixture } from "../support/fixtures.ts";
import { leakFree } from "../support/leak-free.ts";

const fixture = openFixture("optim");
const TOLERANCE = 1e-12;
const NAMES = ["a", "b"];

interface Case {
  optimizer?: "SGD" | "Adam";
  learningRate: number;
  maxNorm: number | null;
  steps: number;
}
const cases = fixture.json<Record<string, Case>>("options");

function create(parameters: Parameter[], options: Case): Optimizer {
  return options.optimizer === "SGD" ? new SGD(parameters, options) : new Adam(parameters, options);
}

for (const [name, options] of Object.entries(cases).filter(([, { optimizer }]) => optimizer)) {
  test(
    `${options.steps} steps of ${name} are PyTorch's`,
    leakFree(() => {
      const parameters = NAMES.map((key) => new Parameter(fixture.tensor(`${name}/params/${key}`)));
      using optimizer = withParameters(create(parameters, options), parameters);
      for (let step = 1; step <= options.steps; step++) {
        const gradients = NAMES.map((key) => fixture.tensor(`${name}/step${step}/grads/${key}`));
        if (options.maxNorm !== null) {
          const norm = clipGradNorm(gradients, options.maxNorm);
          assertClose(norm, fixture.tensor(`${name}/step${step}/norm`).item(), TOLERANCE, "norm");
        }
        optimizer.step(gradients);
        for (const [i, key] of NAMES.entries()) {
          const expected = fixture.tensor(`${name}/step${step}/params/${key}`);
          assertClose(parameters[i]!, expected, TOLERANCE, `${name} step ${step} ${key}`);
        }
      }
      const states = fixture.under(`${name}/state`);
      for (const [key, value] of states) {
        const [parameter, state] = key.split("/") as [string, string];
        assertClose(optimizer.stateOf(NAMES.indexOf(parameter), state)!, value, TOLERANCE, `${name} ${key}`);
      }
      assert.equal(optimizer.tensors().size, states.size);
    }),
  );
}

for (const name of ["clip/below", "clip/above", "clip/far-above"]) {
  test(
    `${name}: norm and clipped gradients are PyTorch's`,
    leakFree(() => {
      const gradients = NAMES.map((key) => fixture.tensor(`${name}/grads/${key}`));
      const norm = fixture.tensor(`${name}/norm`).item();
      assertClose(globalNorm(gradients), norm, TOLERANCE, "global norm");
      assertClose(clipGradNorm(gradients, cases[name]!.maxNorm!), norm, TOLERANCE, "norm returned");
      for (const [i, key] of NAMES.entries()) {
        assertClose(gradients[i]!, fixture.tensor(`${name}/clipped/${key}`), TOLERANCE, `${name} ${key}`);
      }
    }),
  );
}

test(
  "a largest norm of 0 clips nothing, and absent gradients have no norm",
  leakFree(() => {
    const gradient = tensor([3, 4], [2]);
    assert.equal(clipGradNorm([gradient, undefined], 0), 5);
    assertClose(gradient, [3, 4], 0, "gradient");
    assert.equal(globalNorm([undefined]), 0);
  }),
);

const settings: [string, (parameters: Parameter[]) => Optimizer][] = [
  ["SGD", (p) => new SGD(p, { learningRate: 0.1 })],
  ["SGD with momentum", (p) => new SGD(p, { learningRate: 0.1, momentum: 0.9, weightDecay: 3e-4 })],
  ["Nesterov", (p) => new SGD(p, { learningRate: 0.1, momentum: 0.9, nesterov: true })],
  ["Adam", (p) => new Adam(p, { learningRate: 3e-4, betas: [0.5, 0.999], weightDecay: 1e-3 })],
];
const gradientAt = (step: number) => [tensor([0.3 * step, -1, 7], [3]), tensor([step], [1])];
const fresh = () => [new Parameter(tensor([1, 2, 3], [3])), new Parameter(ones([1]))];

for (const [name, make] of settings) {
  test(
    `${name} restored from its state takes the same next step to the bit`,
    leakFree(() => {
      const [one, two] = [fresh(), fresh()];
      using original = withParameters(make(one), one);
      using continued = withParameters(make(two), two);
      for (let step = 1; step <= 3; step++) original.step(gradientAt(step));
      continued.step(gradientAt(9)); // a state of its own that must be gone after the restoration
      noGrad(() => {
        for (const [i, parameter] of one.entries()) two[i]!.copy_(parameter);
      });
      continued.restore(original.tensors(), original.steps());
      original.step(gradientAt(4));
      continued.step(gradientAt(4));
      assert.deepEqual(two.map(bytes), one.map(bytes));
      assert.deepEqual(continued.steps(), original.steps());
    }),
  );

  test(
    `${name} leaves a parameter without a gradient alone, its state too`,
    leakFree(() => {
      const [parameters, reference] = [fresh(), fresh()];
      using optimizer = withParameters(make(parameters), parameters);
      using expected = withParameters(make(reference), reference);
      const [, second] = gradientAt(1);
      optimizer.step([undefined, second]);
      expected.step([undefined, second]);
      assertClose(parameters[0]!, [1, 2, 3], 0, "the one without");
      assert.deepEqual(optimizer.steps(), [0, 1]);
      // The first step of a parameter is its first, however many the others took (bias correction, first momentum).
      optimizer.step(gradientAt(2));
      using alone = withParameters(make([reference[0]!]), []);
      alone.step([gradientAt(2)[0]]);
      assert.deepEqual(bytes(parameters[0]!), bytes(reference[0]!));
    }),
  );
}

test(
  "a state for another number of parameters is refused",
  leakFree(() => {
    const parameters = fresh();
    using optimizer = withParameters(new SGD(parameters, { learningRate: 0.1 }), parameters);
    assert.throws(() => optimizer.restore(new Map(), [1]), /for 1 parameters, expected 2/);
  }),
);

test(
  "a step leaves the gradients as they are and records no graph",
  leakFree(() => {
    const parameters = [new Parameter(scalar(1))];
    using optimizer = withParameters(
      new SGD(parameters, { learningRate: 0.1, momentum: 0.9, weightDecay: 0.1 }),
      parameters,
    );
    const gradient = scalar(2);
    optimizer.step([gradient]);
    optimizer.step([gradient]);
    assert.equal(gradient.item(), 2);
    assert.equal(optimizer.stateOf(0, "momentum_buffer")!.requiresGrad, false);
    assert.equal(parameters[0]!.requiresGrad, true);
  }),
);

const bytes = (value: Tensor) => Buffer.from(value.toArray().buffer).toString("hex");

/** `optimizer`, freed at the end of the block together with the parameters. */
function withParameters<T extends Optimizer>(optimizer: T, parameters: readonly Parameter[]): T & Disposable {
  return disposing(optimizer, optimizer, ...parameters);
}
