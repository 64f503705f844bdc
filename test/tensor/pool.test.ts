// Large tensors come from one pool: what a step has freed is there for the next, page by page.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Conv2d } from "../../src/nn/layers.ts";
import { releaseKernelMemory } from "../../src/space/fused-cell.ts";
import { noGrad } from "../../src/tensor/autograd.ts";
import { scope } from "../../src/tensor/scope.ts";
import { ones, randn } from "../../src/tensor/tensor.ts";

/** Pages that the system had to give during `work`. */
function pagesFor(work: () => void): number {
  const before = process.resourceUsage().minorPageFault;
  work();
  return process.resourceUsage().minorPageFault - before;
}

/** 48 MB: more than what the C library keeps. */
const FLOATS = 12 * 2 ** 20;
const PAGES = (FLOATS * 4) / 4096;

test("a large tensor lies where one was before, and in fresh pages once the memory is given back", (context) => {
  if (process.platform !== "linux") return context.skip("page faults are counted as Linux counts them");
  const make = () => scope(() => ones([FLOATS]).sum().item());
  assert.equal(make(), FLOATS);
  assert.ok(pagesFor(make) < PAGES / 20, "made again");
  releaseKernelMemory();
  // Where pages are large there are fewer of them.
  assert.ok(pagesFor(make) > PAGES / 2000, "after it was given back");
});

test("memory that libtorch's convolutions ask for is given back, too", () => {
  const convolution = new Conv2d(3, 64, 3, { padding: 1 });
  const images = randn([128, 3, 32, 32]);
  const pass = () => noGrad(() => scope(() => convolution.forward(images).sum().item()));
  for (let i = 0; i < 3; i++) pass();
  // Its output alone has 8192 pages.
  const again = pagesFor(pass);
  assert.ok(again < 800, `${again} pages`);
});
