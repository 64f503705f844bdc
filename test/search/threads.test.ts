// The same seed gives the same bytes again, on one thread and on two. Between one and two the last bits differ, by
// libtorch's operators alone (the fused cells do not differ: see the tests of the kernels).
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { findGenotype } from "../../src/genotype/published.ts";
import { Conv2d } from "../../src/nn/layers.ts";
import type { Snapshot } from "../../src/optim/snapshot.ts";
import { Search } from "../../src/search/search.ts";
import { aten } from "../../src/tensor/aten.ts";
import { grad } from "../../src/tensor/autograd.ts";
import { setThreads } from "../../src/tensor/runtime.ts";
import { scope } from "../../src/tensor/scope.ts";
import { full } from "../../src/tensor/tensor.ts";
import { Training } from "../../src/train/training.ts";
import { counted } from "../support/leak-free.ts";
import { fingerprint, toyConfig, toyDataset } from "../support/toy-problem.ts";

const dataset = toyDataset({ images: 64, size: 16 });
// Large enough for libtorch to share the work of an operator out: it does so from 32,768 elements on.
const large = { "search.channels": 8, "search.batchSize": 32, "train.channels": 8, "train.batchSize": 32 };
const before = setThreads(1);
after(() => setThreads(before));

type Stepping = { runStep(): unknown; snapshot(): Snapshot; [Symbol.dispose](): void };
const WORKS: Record<string, () => Stepping> = {
  "search on fused kernels": () => new Search(toyConfig(large), dataset),
  "search on libtorch's operators": () => new Search(toyConfig({ ...large, kernels: "composite" }), dataset),
  training: () => new Training(toyConfig(large), findGenotype("DARTS_V2"), dataset),
};

test(
  "a strided 1×1 convolution of few channels and an odd number of images leaves the memory around it alone",
  counted(() => {
    setThreads(2);
    const conv = new Conv2d(2, 1, 1, { stride: 2 });
    const gradients = Array.from({ length: 40 }, () =>
      scope(() => {
        const x = aten.contiguous.default(full([7, 2, 16, 16], 1), "channels_last");
        return grad([conv.forward(x).sum()], [conv.weight])[0]!.toArray();
      }),
    );
    // 7 images of 8×8 pixels that are read, all of them ones.
    for (const gradient of gradients) assert.deepEqual([...gradient], [448, 448]);
    conv.dispose();
  }),
);

for (const [name, make] of Object.entries(WORKS)) {
  test(
    `${name}, deterministic: two steps on 1, 2 and 3 threads leave the same bytes`,
    counted(() => {
      const [one, ...more] = [1, 2, 3].map((threads) => {
        assert.equal(setThreads(threads, { deterministic: true }), threads);
        using work = make();
        work.runStep();
        work.runStep();
        return fingerprint(work);
      });
      for (const bytes of more) assert.deepEqual(bytes, one);
    }),
  );
  for (const threads of [1, 2]) {
    test(
      `${name}: two steps on ${threads} thread(s), twice, leave the same bytes`,
      counted(() => {
        const [first, second] = [1, 2].map(() => {
          setThreads(threads);
          using work = make();
          work.runStep();
          work.runStep();
          return fingerprint(work);
        });
        assert.deepEqual(second, first);
      }),
    );
  }
}
