// Accuracies against a count by hand, and that measuring leaves the network as it was.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { View } from "../../src/data/splits.ts";
import { randomGenotype } from "../../src/genotype/random.ts";
import { createGenerator } from "../../src/random/generator.ts";
import { drawRandomCell } from "../../src/run/random-cell.ts";
import type { Network } from "../../src/space/network.ts";
import { noGrad } from "../../src/tensor/autograd.ts";
import { seed } from "../../src/tensor/runtime.ts";
import { tensor } from "../../src/tensor/tensor.ts";
import { evaluate } from "../../src/train/evaluate.ts";
import { createNetwork } from "../../src/train/training.ts";
import { assertClose } from "../support/assert-close.ts";
import { leakFree } from "../support/leak-free.ts";
import { toyConfig, toyDataset } from "../support/toy-problem.ts";

const CLASSES = 8;
const dataset = toyDataset({ images: 40, classes: CLASSES, size: 8 });
const config = toyConfig({ "train.auxiliary": false, device: "cpu" });
const genotype = randomGenotype(createGenerator(1), config.space);
const view: View = { set: dataset.test, indices: Uint32Array.from({ length: 40 }, (_, i) => i) };

function network(): Network {
  seed(1);
  return createNetwork(genotype, config, dataset);
}

test(
  "loss, top-1 and top-5 are those counted by hand from the logits, whatever the batch size",
  leakFree(() => {
    using net = network();
    const { images, labels, channels, height, width } = dataset.test;
    const pixels = Float32Array.from(images, (value, i) => {
      const channel = Math.floor(i / (height * width)) % channels;
      return (value / 255 - dataset.mean[channel]!) / dataset.std[channel]!;
    });
    net.eval();
    const logits = noGrad(() => net.forward(tensor(pixels, [40, channels, height, width])).logits.toRows());
    let [loss, top1, top5] = [0, 0, 0];
    for (const [n, row] of logits.entries()) {
      const own = row[labels[n]!]!;
      const better = row.filter((logit) => logit > own).length;
      if (better < 1) top1++;
      if (better < 5) top5++;
      loss += Math.log(row.reduce((sum, logit) => sum + Math.exp(logit), 0)) - own;
    }
    assert.ok(top5 > top1 && top5 < 40, "a case that tells top-1 and top-5 apart");
    const { mean, std } = dataset;
    for (const batchSize of [7, 40]) {
      const measured = evaluate(net, view, { mean, std, batchSize, device: "cpu" });
      assert.deepEqual([measured.top1, measured.top5, measured.images], [top1 / 40, top5 / 40, 40]);
      assertClose(measured.loss, loss / 40, 1e-5, "loss");
    }
  }),
);

test(
  "with fewer than five classes every image is in the top 5",
  leakFree(() => {
    const three = toyDataset({ images: 12 });
    using net = createNetwork(genotype, config, three);
    const { mean, std } = three;
    const all: View = { set: three.test, indices: Uint32Array.from({ length: 12 }, (_, i) => i) };
    assert.equal(evaluate(net, all, { mean, std, batchSize: 5, device: "cpu" }).top5, 1);
  }),
);

for (const training of [true, false]) {
  test(
    `measuring leaves a network in ${training ? "training" : "evaluation"} mode, its statistics untouched`,
    leakFree(() => {
      using net = network();
      net.train(training);
      const before = net.buffers().map((buffer) => buffer.toNumbers());
      const { mean, std } = dataset;
      evaluate(net, view, { mean, std, batchSize: 16, device: "cpu" });
      assert.deepEqual(
        net.buffers().map((buffer) => buffer.toNumbers()),
        before,
      );
      for (const module of net.modules()) assert.equal(module.training, training);
    }),
  );
}

test("a random cell depends on the seed and on its number, and on nothing else", () => {
  const cell = (number: number, settings = {}) =>
    JSON.stringify(drawRandomCell({ config: toyConfig(settings), dataset }, number));
  assert.equal(cell(1), cell(1, { "train.epochs": 9, "search.order": "second" }));
  assert.notEqual(cell(1), cell(2));
  assert.notEqual(cell(1), cell(1, { seed: 3 }));
});
