// The real CIFAR-10, where an earlier use has left it in the cache; the test never downloads.
import assert from "node:assert/strict";
import { test } from "node:test";
import { cacheFolder } from "../../src/data/cache.ts";
import { DATASETS } from "../../src/data/datasets.ts";
import { AS_THEY_ARE } from "../../src/data/entry.ts";
import { channelStatistics } from "../../src/data/statistics.ts";

const cache = cacheFolder();
const { state } = await DATASETS.cifar10.verify({ cache });

test("the cached CIFAR-10 is the published one", {
  skip: state !== "whole" && `CIFAR-10 is ${state} in ${cache}`,
}, async () => {
  const options = { path: null, ...AS_THEY_ARE, cache, report: () => assert.fail("it was made again") };
  const dataset = await DATASETS.cifar10.load(options);
  assert.deepEqual([dataset.train.count, dataset.test.count], [50000, 10000]);
  assert.deepEqual([...dataset.train.labels.subarray(0, 10)], [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]);
  const { mean, std } = channelStatistics(dataset.train);
  for (const c of [0, 1, 2]) {
    assert.ok(Math.abs(mean[c] - dataset.mean[c]) < 1e-6);
    assert.ok(Math.abs(std[c] - dataset.std[c]) < 1e-6);
  }
  for (let label = 0; label < 10; label++) {
    assert.equal(dataset.train.labels.filter((l: number) => l === label).length, 5000);
    assert.equal(dataset.test.labels.filter((l: number) => l === label).length, 1000);
  }
});
