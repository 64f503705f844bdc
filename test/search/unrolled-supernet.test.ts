// The unrolled architecture gradient of a small supernet against PyTorch's finite difference and double backward.
import assert from "node:assert/strict";
import { test } from "node:test";
import { crossEntropy } from "../../src/nn/loss.ts";
import { type BilevelProblem, unrolledGradient, type VirtualStep } from "../../src/search/unrolled.ts";
import { Supernet, type SupernetOptions } from "../../src/space/supernet.ts";
import { generatorState } from "../../src/tensor/runtime.ts";
import { Parameter } from "../../src/tensor/tensor.ts";
import { assertClose } from "../support/assert-close.ts";
import { openFixture } from "../support/fixtures.ts";
import { leakFree } from "../support/leak-free.ts";

interface Tiny extends SupernetOptions {
  learningRate: number;
  momentum: number;
  weightDecay: number;
  radii: string[];
}

/** The supernet of `unrolled-double-backward` in evaluation mode, its problem and its virtual step. */
function withTiny(body: (problem: BilevelProblem, step: VirtualStep, names: string[]) => void): void {
  const fixture = openFixture("unrolled-double-backward");
  const settings = fixture.json<Tiny>("hyperparameters");
  using net = new Supernet(settings).to({ dtype: "float64" });
  net.loadStateDict(fixture.under("weights"));
  net.eval();
  using normal = new Parameter(fixture.tensor("alphas_normal"));
  using reduce = new Parameter(fixture.tensor("alphas_reduce"));
  const momentum = [...net.namedParameters()].map(([name]) => fixture.tensor(`momentum/${name}`));
  const lossOf = (split: string) => {
    const [images, labels] = [fixture.tensor(`${split}/images`), fixture.tensor(`${split}/labels`)];
    return () => {
      const mixture = {
        normal: { operations: normal.softmax(1) },
        reduce: { operations: reduce.softmax(1) },
      };
      return crossEntropy(net.forward(images, mixture), labels);
    };
  };
  const problem: BilevelProblem = {
    weights: net.parameters(),
    alphas: [normal, reduce],
    buffers: net.buffers(),
    trainLoss: lossOf("train"),
    validLoss: lossOf("valid"),
  };
  const { learningRate, momentum: mu, weightDecay } = settings;
  body(
    problem,
    { learningRate, momentum: mu, weightDecay, momentumBuffer: (i) => momentum[i] },
    settings.radii,
  );
}

test(
  "on a supernet every radius gives PyTorch's finite difference, a small one its double backward",
  leakFree(() => {
    const fixture = openFixture("unrolled-double-backward");
    withTiny((problem, step, radii) => {
      for (const radius of radii) {
        const { gradients, validLoss } = unrolledGradient(problem, { ...step, radius: Number(radius) });
        assertClose(
          validLoss,
          fixture.tensor(`finite/${radius}/valid_loss`).item(),
          1e-9,
          `L_V at ${radius}`,
        );
        for (const [i, name] of ["alphas_normal", "alphas_reduce"].entries()) {
          // A small radius divides rounding errors by a small number.
          const tolerance = Math.max(1e-9, 1e-12 / Number(radius));
          assertClose(
            gradients[i]!,
            fixture.tensor(`finite/${radius}/${name}`),
            tolerance,
            `${name} at ${radius}`,
          );
          if (Number(radius) > 1e-4) continue;
          assertClose(gradients[i]!, fixture.tensor(`exact/${name}`), 1e-6, `${name} by double backward`);
        }
      }
      const first = unrolledGradient(problem, { learningRate: 0, momentumBuffer: () => undefined }).gradients;
      for (const [i, name] of ["alphas_normal", "alphas_reduce"].entries()) {
        assertClose(first[i]!, fixture.tensor(`first/${name}`), 1e-9, `first order ${name}`);
      }
    });
  }),
);

test(
  "losses that draw nothing leave the generator as it was",
  leakFree(() => {
    withTiny((problem, step) => {
      const before = generatorState();
      unrolledGradient(problem, step);
      assert.deepEqual(Buffer.from(generatorState()), Buffer.from(before));
    });
  }),
);
