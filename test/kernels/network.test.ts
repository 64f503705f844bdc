// Derived cells and networks of the published genotypes on the kernels, against the composite ones in float64.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Genotype } from "../../src/genotype/genotype.ts";
import { findGenotype, PUBLISHED_GENOTYPES } from "../../src/genotype/published.ts";
import type { Module } from "../../src/nn/module.ts";
import type { DropPath } from "../../src/space/drop-path.ts";
import type { Kernels } from "../../src/space/fused-cell.ts";
import { Network, NetworkCell } from "../../src/space/network.ts";
import { noGrad } from "../../src/tensor/autograd.ts";
import { seed } from "../../src/tensor/runtime.ts";
import { Parameter, randn, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { assertClose } from "../support/assert-close.ts";
import { leakFree } from "../support/leak-free.ts";
import { withGradients } from "./composite.ts";
import { assertSameResults, type Result } from "./results.ts";

const CHANNELS = 6;
const IMAGES = 3;

/** Drop-path whose masks depend on their number only. */
function fixedMasks(): DropPath & { used: number } {
  const fixed = {
    probability: 0.3,
    used: 0,
    draw: ({ dtype }: Tensor) => {
      const mask = Array.from({ length: IMAGES }, (_, n) => ((fixed.used * 5 + n * 3) % 4 === 0 ? 0 : 1));
      fixed.used++;
      return tensor(mask, [IMAGES, 1, 1, 1], { dtype });
    },
  };
  return fixed;
}

function createCell(genotype: Genotype, reduction: boolean, kernels: Kernels): NetworkCell {
  const place = { channels: CHANNELS, inputs: [4, 8] as const, reduction, afterReduction: false };
  return new NetworkCell(genotype, place, { kernels });
}

/** A cell's training pass on fixed values. */
function pass(
  cell: NetworkCell,
  dtype: "float32" | "float64",
  made: Parameter[],
): Result & { masks: number } {
  seed(8);
  const [s0, s1] = [4, 8].map((channels) => {
    made.push(new Parameter(randn([IMAGES, channels, 8, 6]).to({ dtype })));
    return made.at(-1)!;
  });
  const drop = fixedMasks();
  const output = cell.forward(s0, s1, drop);
  const inputs = new Map<string, Tensor>([["s0", s0], ["s1", s1], ...cell.namedParameters()]);
  const gradients = withGradients(output, randn(output.shape).to({ dtype }), inputs);
  return { output, gradients, statistics: new Map(cell.namedBuffers()), masks: drop.used };
}

function copyWide(from: Module, to: Module): void {
  to.loadStateDict(from.stateDict());
  to.to({ dtype: "float64" });
}

for (const { name, genotype } of PUBLISHED_GENOTYPES) {
  test(
    `${name}: both cells are the composite ones in float64, with drop-path`,
    leakFree(() => {
      for (const reduction of [false, true]) {
        seed(4);
        using fused = createCell(genotype, reduction, "fused");
        using wide = createCell(genotype, reduction, "composite");
        copyWide(fused, wide);
        const made: Parameter[] = [];
        const [mine, oracle] = [pass(fused, "float32", made), pass(wide, "float64", made)];
        assertSameResults(mine, oracle);
        assert.equal(mine.masks, oracle.masks, "masks drawn");
        for (const leaf of made) leaf.dispose();
      }
    }),
  );
}

function createNetwork(genotype: Genotype, kernels: Kernels, auxiliary: boolean): Network {
  return new Network({
    genotype,
    channels: 4,
    cells: 4,
    classes: 5,
    imageChannels: 3,
    imageSize: 16,
    stem: "cifar",
    auxiliary,
    kernels,
  });
}

for (const { name, genotype } of PUBLISHED_GENOTYPES) {
  test(
    `${name}: the logits of a small network are the composite one's in float64, in training and after it`,
    leakFree(() => {
      seed(5);
      using fused = createNetwork(genotype, "fused", true);
      using wide = createNetwork(genotype, "composite", true);
      copyWide(fused, wide);
      const images = randn([IMAGES, 3, 16, 16]);
      const compare = (what: string) => {
        const mine = fused.forward(images, fixedMasks());
        const oracle = wide.forward(images.to({ dtype: "float64" }), fixedMasks());
        assertClose(mine.logits, oracle.logits, 1e-5, `${what}: logits`);
        if (what === "training") assertClose(mine.auxiliary!, oracle.auxiliary!, 1e-5, "auxiliary logits");
      };
      compare("training");
      fused.eval();
      wide.eval();
      compare("evaluation");
      noGrad(() => compare("inference"));
    }),
  );
}

test(
  "a seed drops the same paths on the kernels and without them",
  leakFree(() => {
    const genotype = findGenotype("DARTS_V2");
    seed(6);
    using fused = createNetwork(genotype, "fused", false);
    using composite = createNetwork(genotype, "composite", false);
    composite.loadStateDict(fused.stateDict());
    const images = randn([16, 3, 16, 16]);
    const logits = [fused, composite].map((network) => {
      seed(11);
      const found = network.forward(images, { probability: 0.5 }).logits;
      return { found, next: randn([3]).toNumbers() };
    });
    assertClose(logits[0].found, logits[1].found, 1e-4, "logits");
    assert.deepEqual(logits[0].next, logits[1].next, "the generator stands where it stood");
  }),
);

test(
  "a network that must be fused but cannot be says so",
  leakFree(() => {
    using network = createNetwork(findGenotype("DARTS_V2"), "fused", false).to({ dtype: "float64" });
    const images = randn([2, 3, 16, 16]).to({ dtype: "float64" });
    assert.throws(() => network.forward(images), /kernels is fused, but .*float64/);
  }),
);
