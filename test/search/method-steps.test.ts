// Whole steps of the methods against PyTorch's, on the same random numbers: architecture parameters and losses after
// each step, weights and running statistics after the last, and no number drawn more or less.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TensorBatch } from "../../src/data/batch-tensors.ts";
import type { Order } from "../../src/methods/declaration.ts";
import { Adam } from "../../src/optim/adam.ts";
import { SGD } from "../../src/optim/sgd.ts";
import type { Generator } from "../../src/random/generator.ts";
import { batchLoss } from "../../src/search/batch-loss.ts";
import type { SearchMethod, SearchStep } from "../../src/search/method.ts";
import { createMethod } from "../../src/search/methods.ts";
import { Supernet, type SupernetOptions } from "../../src/space/supernet.ts";
import { exchange } from "../../src/tensor/scope.ts";
import { assertAllClose, assertClose } from "../support/assert-close.ts";
import { disposing } from "../support/dispose.ts";
import { openFixture } from "../support/fixtures.ts";
import { leakFree } from "../support/leak-free.ts";

const fixture = openFixture("methods");
const TOLERANCE = 1e-9;

interface Settings extends SupernetOptions {
  size: number;
  steps: number;
  epochs: number;
  share: number;
  partialChannels: number;
  fixedChannels: number;
  learningRate: number;
  momentum: number;
  weightDecay: number;
  gradClip: number;
  archLearningRate: number;
  archBetas: [number, number];
  archWeightDecay: number;
  gdas: Record<string, number>;
  snas: Record<string, number | string>;
  snasArchGradClip: number;
  sdarts: Record<string, number>;
  attackSteps: number;
}
const settings = fixture.json<Settings>("hyperparameters");

/** The fixture's numbers in order; anything else that is asked for is no part of these methods. */
function scripted(numbers: readonly number[]): Generator & { readonly drawn: number } {
  let at = 0;
  const refuse = () => assert.fail("these methods draw uniform numbers only");
  return {
    uniform() {
      assert.ok(at < numbers.length, "more numbers were drawn than by PyTorch");
      return numbers[at++]!;
    },
    int: refuse,
    shuffle: refuse,
    state: () => [at],
    restore([position]) {
      at = position!;
    },
    get drawn() {
      return at;
    },
  };
}

interface Case {
  readonly method: string;
  /** Where it is not the method's own form: in the fixture's names, and where the weights start. */
  readonly form?: string;
  readonly start?: string;
  readonly order: Order;
  readonly options?: Readonly<Record<string, unknown>>;
  readonly channels?: number;
  readonly archGradClip?: number;
}

const { gdas, snas, sdarts, attackSteps } = settings;
const partial = { options: { partialChannels: settings.share }, channels: settings.partialChannels };
const clipped = { options: snas, archGradClip: settings.snasArchGradClip };
const CASES: readonly Case[] = [
  { method: "i-darts", order: "first" },
  { method: "i-darts", order: "second" },
  { method: "darts", form: "i-darts", order: "second", options: { softmax: "node" } },
  { method: "pc-darts", order: "first", ...partial },
  { method: "pc-darts", order: "second", ...partial },
  { method: "gdas", order: "first", options: gdas },
  {
    method: "gdas",
    form: "gdas-fixed",
    start: "fixed",
    order: "first",
    options: { ...gdas, fixedReduction: true },
    channels: settings.fixedChannels,
  },
  { method: "snas", order: "joint", ...clipped },
  { method: "snas", order: "second", ...clipped },
  { method: "sdarts-rs", order: "first", options: sdarts },
  { method: "sdarts-adv", order: "first", options: { ...sdarts, attackSteps } },
  {
    method: "sdarts-adv",
    form: "sdarts-adv-node",
    order: "first",
    options: { ...sdarts, attackSteps, softmax: "node" },
  },
];

function begin(
  name: string,
  { method: methodName, order, options = {}, channels = 2, start = String(channels), archGradClip = 0 }: Case,
) {
  const random = scripted(fixture.tensor(`${name}/uniforms`).toNumbers());
  const { nodes, primitives, cells, size, epochs } = settings;
  const method = createMethod(methodName, options, {
    ...{ nodes, primitives, cells, epochs, channels, order, random },
    weightDecay: 3e-4,
    imageSize: [size, size] as const,
    archFromEpoch: 0,
    batchSize: 4,
    device: "cpu",
  });
  for (const [key, alpha] of method.alphas) {
    exchange(alpha, fixture.tensor(`${name}/start/${key}`)); // float64, as all here
    alpha.setRequiresGrad();
  }
  const supernet = new Supernet({
    ...settings,
    channels,
    createEdge: method.createEdge,
    fixedReduction: method.fixedReduction,
  }).to({
    dtype: "float64",
  });
  supernet.loadStateDict(fixture.under(`weights-${start}`));
  const weightOptimizer = new SGD(supernet.parameters(), settings);
  const archOptimizer = new Adam([...method.alphas.values()], {
    learningRate: settings.archLearningRate,
    betas: settings.archBetas,
    weightDecay: settings.archWeightDecay,
  });
  const step = (k: number): SearchStep => ({
    epoch: k - 1,
    weights: weightOptimizer.parameters,
    buffers: supernet.buffers(),
    alphas: archOptimizer.parameters,
    weightOptimizer,
    archOptimizer,
    gradClip: settings.gradClip,
    archGradClip,
    device: "cpu",
    random,
    trainBatch: batch(`train${k}`),
    archBatch: () => batch(`valid${k}`),
    loss: (given, purpose, seen) =>
      batchLoss(
        { supernet, method, device: "cpu", random, microBatch: null, epoch: k - 1 },
        given,
        purpose,
        seen,
      ),
    evaluating: (fn) => supernet.evaluating(fn),
  });
  const parts = { method, supernet, random, step };
  return disposing(parts, supernet, weightOptimizer, archOptimizer, ...method.alphas.values());
}

function batch(name: string): TensorBatch {
  const labels = fixture.tensor(`batches/${name}/labels`);
  return { images: fixture.tensor(`batches/${name}/images`), labels, size: labels.numel };
}

for (const given of CASES) {
  const { method: methodName, form = methodName } = given;
  const name = `${form}-${given.order}`;
  test(
    `${settings.steps} steps of ${methodName}${form === methodName ? "" : ` as ${form}`}, order "${given.order}", are PyTorch's`,
    leakFree(() => {
      using search = begin(name, given);
      const { method, supernet, random } = search;
      for (let k = 1; k <= settings.steps; k++) {
        const prefix = `${name}/step${k}`;
        const seen = perturbedMixtures(method);
        const { trainLoss, archLoss } = method.step(search.step(k));
        assertClose(trainLoss, fixture.tensor(`${prefix}/train_loss`).item(), TOLERANCE, `${prefix} L_T`);
        if (fixture.has(`${prefix}/valid_loss`)) {
          assertClose(archLoss!, fixture.tensor(`${prefix}/valid_loss`).item(), TOLERANCE, `${prefix} L_V`);
        }
        if (fixture.has(`${prefix}/perturbed_normal`)) {
          for (const cell of ["normal", "reduce"] as const) {
            const expected = fixture.tensor(`${prefix}/perturbed_${cell}`).toNumbers();
            assertClose(
              seen.last()[cell],
              expected,
              TOLERANCE,
              `${prefix} probabilities of the weights' step`,
            );
          }
        }
        for (const [key, alpha] of method.alphas)
          assertClose(alpha, fixture.tensor(`${prefix}/${key}`), TOLERANCE, `${prefix} ${key}`);
      }
      assert.equal(random.drawn, fixture.tensor(`${name}/uniforms`).numel, "numbers drawn");
      const after = fixture.under(`${name}/weights_after`);
      // An unrolled step leaves running statistics as found; PyTorch's here works on copies too.
      assertAllClose(supernet.stateDict(), after, TOLERANCE, "after the last step");
    }),
  );
}

/** Watches the probabilities that the method gives to the weights' passes. */
function perturbedMixtures(method: SearchMethod): { last(): { normal: number[]; reduce: number[] } } {
  let last: { normal: number[]; reduce: number[] } | undefined;
  const { mixture } = method;
  method.mixture = (purpose, epoch) => {
    const made = mixture(purpose, epoch);
    if (purpose === "weights") {
      last = { normal: made.normal.operations.toNumbers(), reduce: made.reduce.operations.toNumbers() };
    }
    return made;
  };
  return { last: () => last! };
}
