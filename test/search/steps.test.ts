// Whole search steps in a row against PyTorch's: alphas and their gradients after each, losses, and the weights,
// statistics and momentum after the last.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TensorBatch } from "../../src/data/batch-tensors.ts";
import { lossGradient } from "../../src/optim/accumulate.ts";
import { Adam } from "../../src/optim/adam.ts";
import { globalNorm } from "../../src/optim/clip.ts";
import type { Gradients } from "../../src/optim/optimizer.ts";
import { SGD } from "../../src/optim/sgd.ts";
import { createGenerator } from "../../src/random/generator.ts";
import { softmaxMixture } from "../../src/search/alphas.ts";
import { batchLoss } from "../../src/search/batch-loss.ts";
import { dartsStep } from "../../src/search/darts.ts";
import type { MethodContext, SearchStep } from "../../src/search/method.ts";
import { Supernet, type SupernetOptions } from "../../src/space/supernet.ts";
import { keep } from "../../src/tensor/scope.ts";
import { Parameter, type Tensor } from "../../src/tensor/tensor.ts";
import { assertAllClose, assertClose } from "../support/assert-close.ts";
import { disposing } from "../support/dispose.ts";
import { openFixture } from "../support/fixtures.ts";
import { leakFree } from "../support/leak-free.ts";

const fixture = openFixture("supernet");
const TOLERANCE = 1e-9;
const ALPHAS = ["alphas_normal", "alphas_reduce"];

interface Settings extends SupernetOptions {
  learningRate: number;
  momentum: number;
  weightDecay: number;
  gradClip: number;
  archLearningRate: number;
  archBetas: [number, number];
  archWeightDecay: number;
}
const settings = fixture.json<Settings>("hyperparameters");

/** Adam that remembers the gradients it was given last. */
class Watched extends Adam {
  seen: Tensor[] = [];

  override step(gradients: Gradients): void {
    this.forget();
    this.seen = gradients.map((gradient) => keep(gradient!.clone()));
    super.step(gradients);
  }

  override dispose(): void {
    this.forget();
    super.dispose();
  }

  private forget(): void {
    for (const gradient of this.seen) gradient.dispose();
    this.seen = [];
  }
}

/** The search that the fixtures begin with. */
function start() {
  const net = new Supernet(settings).to({ dtype: "float64" });
  net.loadStateDict(fixture.under("weights"));
  const alphas = ALPHAS.map((name) => new Parameter(fixture.tensor(name)));
  const [normal, reduce] = alphas as [Parameter, Parameter];
  const weightOptimizer = new SGD(net.parameters(), settings);
  const archOptimizer = new Watched(alphas, {
    learningRate: settings.archLearningRate,
    betas: settings.archBetas,
    weightDecay: settings.archWeightDecay,
  });
  const random = createGenerator(0);
  const method = { mixture: () => softmaxMixture({ normal, reduce }) };
  const context = { supernet: net, method, device: "cpu", random, microBatch: null, epoch: 0 };
  const step = (train: string, arch: string): SearchStep => ({
    epoch: 0,
    weights: net.parameters(),
    buffers: net.buffers(),
    alphas,
    weightOptimizer,
    archOptimizer,
    gradClip: settings.gradClip,
    archGradClip: 0,
    device: "cpu",
    random,
    trainBatch: batch(train),
    archBatch: () => batch(arch),
    loss: (images, purpose, seen) => batchLoss(context, images, purpose, seen),
    evaluating: (fn) => net.evaluating(fn),
  });
  const parts = { net, alphas, weightOptimizer, archOptimizer, step };
  return disposing(parts, net, weightOptimizer, archOptimizer, ...alphas);
}

function batch(name: string): TensorBatch {
  const labels = fixture.tensor(`batches/${name}/labels`);
  return { images: fixture.tensor(`batches/${name}/images`), labels, size: labels.numel };
}

// The batches of each step, for the weights and for the alphas. One-level steps take turns on the union of both.
const steps: [MethodContext["order"], [train: string, arch: string][]][] = [
  [
    "first",
    [
      ["train1", "valid1"],
      ["train2", "valid2"],
      ["train3", "valid3"],
    ],
  ],
  [
    "second",
    [
      ["train1", "valid1"],
      ["train2", "valid2"],
      ["train3", "valid3"],
    ],
  ],
  [
    "alternating",
    [
      ["valid1", "train1"],
      ["valid2", "train2"],
    ],
  ],
  [
    "joint",
    [
      ["train1", "none"],
      ["valid1", "none"],
    ],
  ],
];

for (const [order, batches] of steps) {
  test(
    `${batches.length} steps of order "${order}" are PyTorch's`,
    leakFree(() => {
      using search = start();
      for (const [k, [train, arch]] of batches.entries()) {
        const prefix = `${order}/step${k + 1}`;
        const result = dartsStep(search.step(train, arch), { order, archFromEpoch: 0 });
        assertClose(
          result.trainLoss,
          fixture.tensor(`${prefix}/train_loss`).item(),
          TOLERANCE,
          `${prefix} L_T`,
        );
        const archLoss = fixture.tensor(`${prefix}/${order === "joint" ? "train" : "valid"}_loss`).item();
        assertClose(result.archLoss!, archLoss, TOLERANCE, `${prefix} loss of the alphas`);
        for (const [i, name] of ALPHAS.entries()) {
          const gradient = fixture.tensor(`${prefix}/arch_grads/${name}`);
          assertClose(search.archOptimizer.seen[i]!, gradient, TOLERANCE, `${prefix} gradient of ${name}`);
          assertClose(search.alphas[i]!, fixture.tensor(`${prefix}/${name}`), TOLERANCE, `${prefix} ${name}`);
        }
      }
      assertAllClose(search.net.stateDict(), fixture.under(`${order}/weights_after`), TOLERANCE, "weights");
      if (order === "second") {
        assertAllClose(
          search.net.stateDict(),
          fixture.under("second/buffers_after"),
          TOLERANCE,
          "statistics",
        );
      }
      if (order === "first") {
        // The alphas' pass is an ordinary one of the live network: it counts in the running statistics, as published.
        assertAllClose(
          search.net.stateDict(),
          fixture.under("first/buffers_published"),
          TOLERANCE,
          "statistics",
        );
      }
    }),
  );
}

test(
  "the momentum after steps is what the weights moved by",
  leakFree(() => {
    using search = start();
    dartsStep(search.step("train1", "valid1"), { order: "second", archFromEpoch: 0 });
    const before = search.net.parameters().map((weight) => weight.clone());
    dartsStep(search.step("train2", "valid2"), { order: "second", archFromEpoch: 0 });
    for (const [i, weight] of search.net.parameters().entries()) {
      const moved = before[i]!.sub(weight).div(settings.learningRate);
      assertClose(search.weightOptimizer.stateOf(i, "momentum_buffer")!, moved, 1e-9, `weight ${i}`);
    }
  }),
);

for (const order of ["first", "joint"] as const) {
  test(
    `in order "${order}" the weights move by their clipped gradient, and the alphas' is not clipped`,
    leakFree(() => {
      const gradients = [100, 0.01].map((gradClip) => {
        using search = start();
        const before = search.net.parameters().map((weight) => weight.clone());
        dartsStep({ ...search.step("train1", "valid1"), gradClip }, { order, archFromEpoch: 0 });
        // The first momentum is the gradient with the weight decay.
        const buffers = before.map((weight, i) =>
          search.weightOptimizer.stateOf(i, "momentum_buffer")!.sub(weight.mul(settings.weightDecay)),
        );
        return { norm: globalNorm(buffers), arch: globalNorm(search.archOptimizer.seen) };
      });
      const norm = fixture.tensor(`${order}/step1/grad_norm`).item();
      assertClose(
        gradients.map((found) => found.norm),
        [norm, 0.01],
        1e-4,
        "norms, 1e-6 in the denominator",
      );
      assert.ok(gradients[0]!.arch > 0.01);
      if (order === "joint") assert.equal(gradients[1]!.arch, gradients[0]!.arch);
    }),
  );
}

test(
  "before the alphas' first epoch only the weights move, and no architecture batch is drawn",
  leakFree(() => {
    using search = start();
    const step = search.step("train1", "there is no such batch");
    const result = dartsStep(step, { order: "second", archFromEpoch: 1 });
    assert.equal(result.archLoss, undefined);
    for (const [i, name] of ALPHAS.entries()) assertClose(search.alphas[i]!, fixture.tensor(name), 0, name);
  }),
);

test(
  "the step reports how many training images were classified rightly",
  leakFree(() => {
    using search = start();
    const labels = batch("train1").labels.toNumbers();
    let right = 0;
    const loss = search.step("train1", "").loss(batch("train1"), "weights", (logits) => {
      right = logits.toRows().filter((row, i) => row.indexOf(Math.max(...row)) === labels[i]).length;
    });
    lossGradient(loss, search.alphas);
    const { trainCorrect } = dartsStep(search.step("train1", "valid1"), { order: "first", archFromEpoch: 1 });
    assert.equal(trainCorrect, right);
  }),
);
