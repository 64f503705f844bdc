// Plans: the forecast against what a process really takes, what is refused, and with which advice.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type MemoryCase, measure } from "../../bench/memory.ts";
import { UserError } from "../../src/errors.ts";
import { FIXED_REDUCTION } from "../../src/genotype/fixed-reduction.ts";
import { edgesByNode } from "../../src/genotype/genotype.ts";
import { findGenotype } from "../../src/genotype/published.ts";
import { randomGenotype } from "../../src/genotype/random.ts";
import { createGenerator } from "../../src/random/generator.ts";
import type { Reporter } from "../../src/run/job.ts";
import { memoryLimit } from "../../src/run/memory.ts";
import { createPace } from "../../src/run/pace.ts";
import { largestGenotype, makePlan, timePlan } from "../../src/run/plan.ts";
import { requireMemory } from "../../src/run/plan-advice.ts";
import { duration, megabytes, planJson, planText } from "../../src/run/plan-text.ts";
import { countTensors, loadOf, rehearseTraining } from "../../src/run/rehearse.ts";
import { Search } from "../../src/search/search.ts";
import { scope } from "../../src/tensor/scope.ts";
import { zeros } from "../../src/tensor/tensor.ts";
import { counted } from "../support/leak-free.ts";
import { fingerprint, toyConfig, toyDataset } from "../support/toy-problem.ts";

const data = toyDataset();
/** For advice every method is rehearsed: with all operations that takes long. */
const FEW_OPERATIONS = { "space.primitives": ["none", "skip_connect", "sep_conv_3x3", "max_pool_3x3"] };

for (const [name, one] of Object.entries<MemoryCase>({
  "a first-order search that computes again on the fused kernels": {
    kind: "search",
    images: 80,
    settings: { "search.channels": 16, "search.cells": 5, "search.batchSize": 40, recompute: true },
  },
  "a first-order search whose fused cells keep bfloat16": {
    kind: "search",
    images: 80,
    settings: { "search.channels": 16, "search.cells": 5, "search.batchSize": 40, storage: "bf16" },
  },
  "a first-order search on the fused kernels": {
    kind: "search",
    images: 40,
    settings: { "search.channels": 16, "search.cells": 3, "search.batchSize": 24 },
  },
  "a second-order search of composite cells": {
    kind: "search",
    images: 40,
    size: 16,
    settings: {
      "search.channels": 16,
      "search.cells": 3,
      "search.batchSize": 24,
      "search.order": "second",
      kernels: "composite",
      threads: 1, // libtorch's operators on two of a busy machine can be many times slower
    },
  },
  "a training with auxiliary head in micro-batches": {
    kind: "train",
    images: 100,
    genotype: "DARTS_V2",
    settings: { "train.channels": 16, "train.cells": 5, "train.batchSize": 64, "train.microBatch": 32 },
  },
})) {
  test(`the forecast peak of ${name} is at most 10 % off the measured one`, async (context) => {
    if (process.platform !== "linux") return context.skip("peaks are read from /proc");
    const { forecastMB, measuredMB } = await measure(one);
    const error = forecastMB / measuredMB - 1;
    assert.ok(Math.abs(error) < 0.1, `forecast ${forecastMB} MB, measured ${measuredMB} MB`);
    // The tensors are most of it: a forecast of the rest alone would not do.
    assert.ok(measuredMB > 350, `${measuredMB} MB`);
  });
}

test(
  "counting sees the largest sum of bytes alive at one time, and only while it counts",
  counted(() => {
    const { bytes, pooled } = countTensors(() => {
      scope(() => [zeros([1000]), zeros([2000])]).forEach((tensor) => {
        tensor.dispose();
      });
      zeros([500]).dispose();
    });
    assert.deepEqual([bytes, pooled], [12_000, 0]);
    assert.deepEqual(
      countTensors(() => {}),
      { bytes: 0, pooled: 0 },
    );
    assert.throws(
      () => countTensors(() => countTensors(() => {})),
      /counted already/,
      "one count cannot lie within another",
    );
    assert.deepEqual(
      countTensors(() => zeros([10]).dispose()),
      { bytes: 40, pooled: 0 },
      "and a count that failed has ended",
    );
    const mixed = countTensors(() => scope(() => void [zeros([1000]), zeros([2 ** 18])]));
    assert.deepEqual(mixed, { bytes: 2 ** 20 + 4000, pooled: 2 ** 20 }, "from 1 MB on they lie in the pool");
  }),
);

test(
  "a rehearsal of a load that is small enough is the count of the load itself, and the line goes through it",
  counted(() => {
    const config = toyConfig({ "train.auxiliary": false });
    const genotype = randomGenotype(createGenerator(1), config.space);
    const rehearsals = [16, 64].map((images) =>
      rehearseTraining(config, genotype, data, { batch: images, atOnce: images, last: 0 }),
    );
    const [small, large] = rehearsals as [(typeof rehearsals)[0], (typeof rehearsals)[0]];
    assert.equal(large.bytes(16), small.bytes(16));
    assert.ok(large.bytes(64) > 3 * large.bytes(16));
    for (const images of [20, 63, 64]) {
      assert.ok(large.mostImages(large.bytes(images) + 1) === images, "the inverse of the line");
      assert.ok(large.mostImages(large.bytes(images) - 2) === images - 1);
    }
  }),
);

test("micro-batches of a training take the memory of one of them", () => {
  const config = toyConfig({ "train.auxiliary": false });
  const genotype = findGenotype("DARTS_V2");
  const bytes = [null, 16].map((microBatch) => {
    const load = loadOf({ batchSize: 64, microBatch }, 64);
    return rehearseTraining(config, genotype, data, load).bytes(load.atOnce);
  });
  assert.ok(bytes[1]! < 0.4 * bytes[0]!, `${bytes}`);
});

test("a load is that of the split: no batch is larger, micro-batches are even, the last batch is told", () => {
  assert.deepEqual(loadOf({ batchSize: 64, microBatch: null }, 100), { batch: 64, atOnce: 64, last: 36 });
  assert.deepEqual(loadOf({ batchSize: 64, microBatch: 24 }, 128), { batch: 64, atOnce: 22, last: 0 });
  assert.deepEqual(loadOf({ batchSize: 64, microBatch: null }, 10), { batch: 10, atOnce: 10, last: 0 });
});

test("a plan tells parameters, steps, peak and, once it is timed, durations that add up", () => {
  const config = toyConfig({ "train.randomCells": 2 });
  const subject = { config, data, intent: { searches: true, trains: "found" as const } };
  const plan = makePlan(subject);
  const [search, training] = plan.parts;
  assert.deepEqual([search!.phase, training!.phase], ["search", "training"]);
  assert.deepEqual([search!.stepsPerEpoch, training!.stepsPerEpoch], [4, 4]);
  assert.deepEqual([search!.atMost, training!.atMost, training!.times], [false, true, 3]);
  assert.doesNotMatch(planText(plan), / a step/);
  assert.match(planText(plan), /^search: [\d,]+ parameters .*\ntraining: at most .* 3 times\nwhole: peak /);
  const timed = timePlan(plan, subject, 2);
  for (const { duration: time, stepsPerEpoch, epochs } of timed.parts) {
    assert.ok(time!.step > 0 && time!.epoch >= time!.step * stepsPerEpoch);
    assert.equal(time!.total, time!.epoch * epochs);
  }
  const total = timed.parts[0]!.duration!.total + 3 * timed.parts[1]!.duration!.total;
  assert.equal(planJson(timed)["totalSeconds"], total);
  assert.match(planText(timed), / a step, .* an epoch/);
});

test(
  "a plan leaves no trace: a search after it is, byte for byte, the search without it",
  counted(() => {
    const config = toyConfig({});
    const found = () => {
      using search = new Search(config, data);
      search.runStep();
      return fingerprint(search);
    };
    const before = found();
    makePlan({ config, data, intent: { searches: true, trains: "found" } });
    assert.deepEqual(found(), before);
  }),
);

test("what does not fit is refused, with changes that fit", () => {
  const settings = { "search.channels": 16, kernels: "composite" };
  const config = toyConfig({ ...settings, "search.batchSize": 16 });
  const subject = { config, data, intent: { searches: true } };
  const plan = makePlan(subject);
  requireMemory(plan, subject);
  const bytes = plan.parts[0]!.peakBytes! - 4 * 2 ** 20;
  const tight = { ...plan, limit: { bytes, source: "memoryLimit" as const } };
  assert.throws(
    () => requireMemory(tight, subject),
    (error) => {
      assert.ok(error instanceof UserError);
      assert.match(
        error.message,
        /^The search needs about \d+ MB of memory, but there are \d+ MB \(memoryLimit\)\. /,
      );
      const most = Number(/search\.microBatch (\d+)/.exec(error.message)![1]);
      assert.ok(most >= 2 && most < 16, error.message);
      assert.match(error.message, new RegExp(`search\\.batchSize ${most}`));
      assert.match(error.message, /search\.channels 8 \(\d+ MB\)/);
      assert.match(error.message, /kernels auto \(\d+ MB\)/);
      // The advice is followed: it fits.
      const smaller = toyConfig({ ...settings, "search.batchSize": most });
      const heeded = makePlan({ ...subject, config: smaller });
      const grown = heeded.residentBytes - plan.residentBytes; // of this process, by the tests' own doing
      assert.ok(
        heeded.parts[0]!.peakBytes! - grown <= bytes + 2 ** 20,
        `${heeded.parts[0]!.peakBytes} ${bytes}`,
      );
      return true;
    },
  );
  const none = { ...plan, limit: { bytes: 1, source: "memoryLimit" as const } };
  assert.throws(() => requireMemory(none, subject), /No single change of a key would fit/);
});

test("what does not fit on the fused kernels may be computed again", () => {
  const config = toyConfig({ ...FEW_OPERATIONS, "search.channels": 16, "search.batchSize": 16 });
  // Images large enough that what the cells keep is more than everything else.
  const subject = { config, data: toyDataset({ size: 32 }), intent: { searches: true } };
  const plan = makePlan(subject);
  const tight = {
    ...plan,
    limit: { bytes: plan.parts[0]!.peakBytes! - 2 ** 20, source: "memoryLimit" as const },
  };
  assert.throws(() => requireMemory(tight, subject), /What would fit: .*; recompute true \(\d+ MB\)/);
  const heeded = makePlan({ ...subject, config: { ...config, recompute: true } });
  const grown = heeded.residentBytes - plan.residentBytes; // of this process, by the tests' own doing
  assert.ok(heeded.parts[0]!.peakBytes! - grown < tight.limit.bytes);
});

test("the limit is the configured one, else what is free", () => {
  assert.deepEqual(memoryLimit({ memoryLimit: 300 }), { bytes: 300 * 2 ** 20, source: "memoryLimit" });
  const { bytes, source } = memoryLimit({ memoryLimit: null });
  assert.ok(bytes > 2 ** 26 && source !== "memoryLimit");
});

test("the largest cell of a space has its heaviest operation on every edge", () => {
  const largest = (settings: Readonly<Record<string, unknown>>) =>
    largestGenotype(
      toyConfig({
        "space.nodes": 2,
        "space.primitives": ["none", "skip_connect", "dil_conv_3x3", "sep_conv_3x3"],
        ...settings,
      }),
    );
  const { normal, reduceConcat } = largest({});
  assert.deepEqual(normal, [
    ["sep_conv_3x3", 0],
    ["sep_conv_3x3", 1],
    ["sep_conv_3x3", 0],
    ["sep_conv_3x3", 1],
  ]);
  assert.deepEqual(reduceConcat, [2, 3]);

  const pairs = largest({ "search.method": "i-darts", "search.options.pairs": 4 });
  assert.deepEqual(pairs.normal, [
    [
      ["sep_conv_3x3", 0],
      ["sep_conv_3x3", 1],
      ["dil_conv_3x3", 0],
      ["dil_conv_3x3", 1],
    ],
    [
      ["sep_conv_3x3", 0],
      ["sep_conv_3x3", 1],
      ["sep_conv_3x3", 2],
      ["dil_conv_3x3", 0],
    ],
  ]);
  const every = largest({ "search.method": "snas", "search.options.keep": "every-edge" });
  assert.deepEqual(
    edgesByNode(every.reduce).map((edges) => edges.map(([op, from]) => `${op} ${from}`)),
    [2, 3].map((count) => Array.from({ length: count }, (_, from) => `sep_conv_3x3 ${from}`)),
  );
  const fixed = largest({
    "search.method": "gdas",
    "search.channels": 4,
    "train.channels": 4,
    "search.options.fixedReduction": true,
  });
  assert.deepEqual(fixed, { ...largest({}), ...FIXED_REDUCTION });
});

test("the pace is told once, after the first steps, by their median", () => {
  const lines: string[] = [];
  const reporter: Pick<Reporter, "log"> = { log: (line) => lines.push(line) };
  const pace = createPace(reporter, "search", { stepsPerEpoch: 100, epochs: 10 });
  for (const ms of [90_000, 100, 200, 200, 5000, 1, 1]) pace.step(ms);
  assert.deepEqual(lines, [
    "search: 0.20 s a step, about 20 s an epoch and 3 min 20 s in all, by its first steps (evaluation apart)",
  ]);
});

test("sizes and durations are written as people read them", () => {
  assert.deepEqual(
    [2503, 12_697].map((mb) => megabytes(mb * 2 ** 20)),
    ["2,503 MB", "12.4 GB"],
  );
  assert.deepEqual([0.123, 8.31, 59.6, 449, 22_500].map(duration), [
    "0.12 s",
    "8.3 s",
    "1 min 0 s",
    "7 min 29 s",
    "6 h 15 min",
  ]);
});
