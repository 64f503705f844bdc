// Derived cells and networks of the published genotypes on the kernels, against the composite ones in float64.
import assert from "node:assert/strict";
import { test } from "node:test";
import { FIXED_REDUCTION } from "../../src/genotype/fixed-reduction.ts";
import { edgesOfCell, type Genotype } from "../../src/genotype/genotype.ts";
import { findGenotype, PUBLISHED_GENOTYPES } from "../../src/genotype/published.ts";
import type { Module } from "../../src/nn/module.ts";
import type { DropPath } from "../../src/space/drop-path.ts";
import type { Kernels } from "../../src/space/fused-cell.ts";
import { Network, NetworkCell } from "../../src/space/network.ts";
import { noGrad } from "../../src/tensor/autograd.ts";
import { seed } from "../../src/tensor/runtime.ts";
import { cat, Parameter, randn, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { byNode } from "../genotype/shorthand.ts";
import { assertClose } from "../support/assert-close.ts";
import { leakFree } from "../support/leak-free.ts";
import { withGradients } from "./composite.ts";
import { assertSameResults, type Result } from "./results.ts";

const CHANNELS = 6;

/** Published cells, and cells whose nodes have other than two edges. */
const CELLS: readonly { readonly name: string; readonly genotype: Genotype }[] = [
  ...PUBLISHED_GENOTYPES,
  {
    name: "several operations of one state",
    genotype: {
      normal: byNode("s3,0 sk,0 mp,0 d5,1 s3,1 | s5,2 | ap,0 ap,0 d3,2 sk,3"),
      normalConcat: [2, 3, 4],
      reduce: byNode("sk,0 | s3,0 sk,0 mp,0 s5,0 | d3,2 d5,2 sk,1 mp,3"),
      reduceConcat: [3, 4],
    },
  },
  {
    name: "every edge, some of none",
    genotype: {
      normal: byNode("no,0 s3,1 | no,0 no,1 no,2 | sk,0 mp,1 d3,2 no,3"),
      normalConcat: [2, 3, 4],
      reduce: byNode("no,0 no,1 | sk,0 no,1 s5,2 | d5,0 no,1 no,2 ap,3"),
      reduceConcat: [2, 3, 4],
    },
  },
];

/** GDAS' fixed reduction cell has nothing that the kernels compute, and groups that divide its channels. */
const isFixed = ({ reduce }: Genotype) => reduce === FIXED_REDUCTION.reduce;
const kernelsFor = (genotype: Genotype): Kernels => (isFixed(genotype) ? "auto" : "fused");
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
  const channels = isFixed(genotype) ? 8 : CHANNELS;
  const place = { channels, inputs: [4, 8] as const, reduction, afterReduction: false };
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

for (const { name, genotype } of CELLS) {
  test(
    `${name}: both cells are the composite ones in float64, with drop-path`,
    leakFree(() => {
      for (const reduction of [false, true]) {
        seed(4);
        using fused = createCell(genotype, reduction, kernelsFor(genotype));
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

for (const { name, genotype } of CELLS) {
  test(
    `${name}: the logits of a small network are the composite one's in float64, in training and after it`,
    leakFree(() => {
      seed(5);
      using fused = createNetwork(genotype, kernelsFor(genotype), true);
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

/** Both outputs of a training pass of a network as one, all gradients and the running statistics. */
function networkPass(network: Network, size: number): Result & { free(): void } {
  seed(9);
  const { dtype } = network.classifier.weight;
  const images = new Parameter(randn([IMAGES, 3, size, size]).to({ dtype }));
  const { logits, auxiliary } = network.forward(images, fixedMasks());
  const output = auxiliary ? cat([logits, auxiliary], 1) : logits;
  const inputs = new Map<string, Tensor>([["images", images], ...network.namedParameters()]);
  const gradients = withGradients(output, randn(output.shape).to({ dtype }), inputs);
  return { output, gradients, statistics: new Map(network.namedBuffers()), free: () => images.dispose() };
}

/** Of gradients through a whole network: those of the composite one in float32 are off by 2e-5 themselves. */
const NETWORK_TOLERANCE = 5e-5;

/** Convolutions and skip connections only: where poolings decide in the few pixels of the last cells, rounding does. */
const PLAIN: Genotype = {
  normal: [
    ["sep_conv_3x3", 0],
    ["sep_conv_5x5", 1],
    ["skip_connect", 0],
    ["dil_conv_3x3", 2],
  ],
  normalConcat: [3],
  reduce: [
    ["skip_connect", 0],
    ["sep_conv_3x3", 1],
    ["dil_conv_5x5", 1],
    ["skip_connect", 2],
  ],
  reduceConcat: [3, 2],
};
/** The same with an operation that the kernels lack, whose cells take their inputs preprocessed. */
const MIXED: Genotype = { ...PLAIN, normal: [["conv_7x1_1x7", 0], ...edgesOfCell(PLAIN.normal).slice(1)] };
/** The same with other than two edges a node: several operations of one state, one alone, none. */
const WIDE: Genotype = {
  ...PLAIN,
  normal: byNode("s3,0 sk,0 d5,0 s5,1 | d3,2"),
  reduce: byNode("sk,0 no,1 | s3,1 d5,1 sk,2"),
};

for (const [what, genotype, stem, size] of [
  ["a network", PLAIN, "cifar", 8],
  ["a network of which libtorch computes an operation", MIXED, "cifar", 8],
  ["a network of nodes with more edges and with one", WIDE, "cifar", 16],
  ["a network with ImageNet's stem", PLAIN, "imagenet", 64],
] as const) {
  test(
    `${what} has the gradients and the running statistics of the composite one in float64`,
    leakFree(() => {
      const create = (kernels: Kernels) => {
        seed(5);
        const shape = { channels: 6, cells: 3, classes: 5, imageChannels: 3, imageSize: size };
        return new Network({ ...shape, genotype, stem, auxiliary: stem === "cifar", kernels });
      };
      using fused = create("fused");
      using wide = create("composite");
      wide.to({ dtype: "float64" });
      const [mine, oracle] = [fused, wide].map((network) => networkPass(network, size));
      assertSameResults(mine, oracle, NETWORK_TOLERANCE);
      mine.free();
      oracle.free();
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
