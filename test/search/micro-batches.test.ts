// Gradient accumulation: where no statistics of a batch come in, a batch in parts has the gradients of the whole.
import assert from "node:assert/strict";
import { test } from "node:test";
import { microBatches, type TensorBatch } from "../../src/data/batch-tensors.ts";
import { parseGenotype } from "../../src/genotype/parse.ts";
import { lossGradient } from "../../src/optim/accumulate.ts";
import { SGD } from "../../src/optim/sgd.ts";
import { createGenerator, type Generator } from "../../src/random/generator.ts";
import { batchLoss } from "../../src/search/batch-loss.ts";
import { gumbelNoise } from "../../src/search/concrete.ts";
import { Search } from "../../src/search/search.ts";
import { unrolledGradient } from "../../src/search/unrolled.ts";
import { Network } from "../../src/space/network.ts";
import { DARTS_PRIMITIVES } from "../../src/space/primitives.ts";
import { Supernet } from "../../src/space/supernet.ts";
import { aten } from "../../src/tensor/aten.ts";
import { seed } from "../../src/tensor/runtime.ts";
import { Parameter, randn, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { objectiveGradient } from "../../src/train/objective.ts";
import { assertAllClose, assertClose } from "../support/assert-close.ts";
import { disposing } from "../support/dispose.ts";
import { counted, leakFree } from "../support/leak-free.ts";
import { fingerprint, toyConfig, toyDataset } from "../support/toy-problem.ts";

const TOLERANCE = 1e-12;

function batch(size: number): TensorBatch {
  const labels = tensor(
    Array.from({ length: size }, (_, i) => i % 3),
    [size],
    { dtype: "int64" },
  );
  return { images: randn([size, 3, 8, 8], { dtype: "float64" }), labels, size };
}

/** A small supernet in float64 whose batch normalisation uses running statistics, and its alphas. */
function evaluated() {
  seed(3);
  const supernet = new Supernet({
    channels: 2,
    cells: 3,
    nodes: 2,
    primitives: DARTS_PRIMITIVES,
    stemMultiplier: 1,
    imageChannels: 3,
    classes: 3,
  })
    .to({ dtype: "float64" })
    .eval();
  const alphas = [1, 2].map(
    () => new Parameter(randn([5, DARTS_PRIMITIVES.length], { dtype: "float64" })),
  ) as [Parameter, Parameter];
  const optimizer = new SGD(supernet.parameters(), { learningRate: 0.1, momentum: 0.9 });
  return disposing({ supernet, alphas, optimizer }, supernet, optimizer, ...alphas);
}

/** A mixture that samples, so that parts which drew anew would differ. */
const sampled = ([normal, reduce]: readonly [Tensor, Tensor], random: Generator) => {
  const mix = (alpha: Tensor) => ({ operations: alpha.add(gumbelNoise(alpha, random)).softmax(1) });
  return { mixture: () => ({ normal: mix(normal), reduce: mix(reduce) }) };
};

test(
  "a batch is cut into the fewest parts, as even as they can be, and none is lost",
  leakFree(() => {
    const whole = batch(11);
    for (const [largest, sizes] of [
      [null, [11]],
      [11, [11]],
      [100, [11]],
      [5, [3, 4, 4]],
      [10, [5, 6]],
      [1, Array(11).fill(1)],
    ] as const) {
      const parts = microBatches(whole, largest);
      assert.deepEqual(
        parts.map(({ size }) => size),
        sizes,
      );
      const joined = aten.cat.default(
        parts.map(({ images }) => images),
        0,
      );
      assertClose(joined, whole.images, 0, "images");
      assert.deepEqual(
        parts.flatMap(({ labels }) => labels.toNumbers()),
        whole.labels.toNumbers(),
      );
    }
  }),
);

for (const microBatch of [1, 3, 4]) {
  test(
    `first order: micro-batches of ${microBatch} have the gradients of a batch of 7, and sample once for it`,
    leakFree(() => {
      using net = evaluated();
      const whole = batch(7);
      const inputs = [...net.alphas, ...net.supernet.parameters()];
      const results = [null, microBatch].map((size) => {
        const random = createGenerator(5);
        const method = sampled(net.alphas, random);
        const context = { ...net, method, device: "cpu", random, microBatch: size, epoch: 0 };
        let images = 0;
        const loss = batchLoss(context, whole, "weights", (logits) => {
          images += logits.shape[0]!;
        });
        const found = lossGradient(loss, inputs);
        assert.equal(images, 7);
        return { ...found, draws: random.state() };
      });
      const [one, many] = results as [(typeof results)[0], (typeof results)[0]];
      assertClose(many.value, one.value, TOLERANCE, "loss");
      assertAllClose(named(many.gradients), named(one.gradients), TOLERANCE, "gradients");
      assert.deepEqual(many.draws, one.draws, "the generator goes on as after one pass");
    }),
  );

  test(
    `second order: micro-batches of ${microBatch} have the unrolled gradient of batches of 7`,
    leakFree(() => {
      using net = evaluated();
      const [train, valid] = [batch(7), batch(7)];
      const results = [null, microBatch].map((size) => {
        const random = createGenerator(5);
        const method = sampled(net.alphas, random);
        const context = { ...net, method, device: "cpu", random, microBatch: size, epoch: 0 };
        return unrolledGradient(
          {
            weights: net.supernet.parameters(),
            alphas: net.alphas,
            buffers: net.supernet.buffers(),
            trainLoss: batchLoss(context, train, "architecture"),
            validLoss: batchLoss(context, valid, "architecture"),
          },
          { learningRate: 0.1, momentum: 0.9, weightDecay: 1e-3, random },
        );
      });
      const [one, many] = results as [(typeof results)[0], (typeof results)[0]];
      assertClose(many.validLoss, one.validLoss, TOLERANCE, "loss");
      // The finite difference divides rounding by its step.
      assertAllClose(named(many.gradients), named(one.gradients), 1e-9, "gradients");
    }),
  );

  test(
    `training: micro-batches of ${microBatch} have the gradients of a batch of 7, both heads and smoothing included`,
    leakFree(() => {
      seed(3);
      using network = new Network({
        genotype: parseGenotype(GENOTYPE),
        channels: 2,
        cells: 3,
        classes: 3,
        imageChannels: 3,
        imageSize: 8,
        stem: "cifar",
        auxiliary: true,
      }).to({ dtype: "float64" });
      // The heads work as in training, batch normalisation as in evaluation.
      for (const module of network.modules()) module.training = !("running_mean" in module);
      const whole = batch(7);
      const [one, many] = [null, microBatch].map((size) =>
        objectiveGradient(network, whole, network.parameters(), {
          auxiliaryWeight: 0.4,
          labelSmoothing: 0.1,
          microBatch: size,
          dropPath: 0,
        }),
      ) as [ReturnType<typeof objectiveGradient>, ReturnType<typeof objectiveGradient>];
      assertClose(many.loss, one.loss, TOLERANCE, "loss");
      assert.equal(many.correct, one.correct);
      assert.ok(one.gradients.every((gradient) => gradient !== undefined));
      assertAllClose(named(many.gradients), named(one.gradients), TOLERANCE, "gradients");
    }),
  );
}

test(
  "batch normalisation moves its running statistics once for each micro-batch of a step",
  counted(() => {
    const counts = [null, 2].map((microBatch) => {
      const config = toyConfig({ "search.microBatch": microBatch, "search.archFromEpoch": 1 });
      using search = new Search(config, toyDataset());
      search.runStep();
      return search.supernet.stateDict().get("stem.1.num_batches_tracked")!.item();
    });
    assert.deepEqual(counts, [1, 2]);
  }),
);

for (const order of ["first", "second", "joint"] as const) {
  test(
    `a search of order "${order}" in micro-batches of the whole batch is, byte for byte, the search without`,
    counted(() => {
      const [none, whole, halves] = [null, 4, 2].map((microBatch) => {
        const config = toyConfig({ "search.microBatch": microBatch, "search.order": order });
        using search = new Search(config, toyDataset());
        search.runStep();
        search.runStep();
        return fingerprint(search);
      });
      assert.deepEqual(whole, none);
      assert.notDeepEqual(halves, none, "halves have batch statistics of their own");
    }),
  );
}

const GENOTYPE = JSON.stringify({
  normal: [
    ["sep_conv_3x3", 0],
    ["skip_connect", 1],
  ],
  normalConcat: [2],
  reduce: [
    ["max_pool_3x3", 0],
    ["skip_connect", 1],
  ],
  reduceConcat: [2],
});

function named(gradients: readonly (Tensor | undefined)[]): Map<string, Tensor> {
  return new Map(gradients.flatMap((gradient, i) => (gradient ? [[String(i), gradient]] : [])));
}
