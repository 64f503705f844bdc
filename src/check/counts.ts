// Published parameter counts, by arithmetic and of networks that are really built, and the derivation of a cell.
import { countNetwork, countSupernet } from "../genotype/counts.ts";
import { deriveGenotype } from "../genotype/discretize.ts";
import { type Edge, edgeOffset, edgesOfCell } from "../genotype/genotype.ts";
import { findGenotype } from "../genotype/published.ts";
import type { Module } from "../nn/module.ts";
import { Network } from "../space/network.ts";
import { DARTS_PRIMITIVES } from "../space/primitives.ts";
import { Supernet } from "../space/supernet.ts";
import { type Check, compare } from "./check.ts";

const CIFAR = {
  channels: 36,
  cells: 20,
  classes: 10,
  imageChannels: 3,
  imageSize: 32,
  stem: "cifar",
} as const;
const IMAGENET = {
  channels: 48,
  cells: 14,
  classes: 1000,
  imageChannels: 3,
  imageSize: 224,
  stem: "imagenet",
} as const;
const SUPERNET = {
  channels: 16,
  cells: 8,
  classes: 10,
  imageChannels: 3,
  nodes: 4,
  stemMultiplier: 3,
} as const;

/** Weights of the derived networks on CIFAR-10, without and with the auxiliary head, and on ImageNet. */
const PUBLISHED: readonly [name: string, cifar: number, withAux: number, imagenet: number][] = [
  ["DARTS_V1", 3_169_414, 3_645_840, 4_510_432],
  ["DARTS_V2", 3_349_342, 3_825_768, 4_718_752],
  ["PC_DARTS_cifar", 3_634_678, 4_111_104, 5_270_560],
  ["PDARTS", 3_433_798, 3_910_224, 4_944_352],
  ["GDAS_V1", 3_368_782, 3_845_208, 4_969_216],
  ["SNAS_mild", 2_661_382, 3_137_808, 3_939_328],
  ["NASNet", 3_830_950, 4_288_944, 5_564_320],
];

/** All checks of counts and derivation. */
export function countChecks(): Check[] {
  return [...publishedChecks(), ...builtChecks(), ...derivationChecks()];
}

function publishedChecks(): Check[] {
  return PUBLISHED.flatMap(([name, cifar, withAux, imagenet]) => {
    const genotype = findGenotype(name);
    const { params, paramsWithAux } = countNetwork(genotype, CIFAR);
    return [
      compare(`weights of ${name} on CIFAR-10`, params, cifar, 0),
      compare(`weights of ${name} on CIFAR-10 with the auxiliary head`, paramsWithAux, withAux, 0),
      compare(`weights of ${name} on ImageNet`, countNetwork(genotype, IMAGENET).params, imagenet, 0),
    ];
  });
}

function builtChecks(): Check[] {
  const shape = { ...SUPERNET, primitives: DARTS_PRIMITIVES };
  using supernet = new Supernet(shape);
  using network = new Network({ ...CIFAR, genotype: findGenotype("DARTS_V2"), auxiliary: true });
  return [
    compare("weights of the supernet, counted", countSupernet(shape).params, 1_930_618, 0),
    compare("weights of the supernet, built", weightsOf(supernet), 1_930_618, 0),
    compare(
      "weights of DARTS_V2, built",
      weightsOf(network, (name) => !name.includes("auxiliary")),
      3_349_342,
      0,
    ),
    compare("weights of DARTS_V2 with the auxiliary head, built", weightsOf(network), 3_825_768, 0),
  ];
}

function weightsOf(module: Module, counts: (name: string) => boolean = () => true): number {
  let total = 0;
  for (const [name, { numel }] of module.namedParameters()) if (counts(name)) total += numel;
  return total;
}

/** The cell of α[e][k] = sin(1.7e + 0.9k), and of alphas that are all level. */
function derivationChecks(): Check[] {
  const rows = (value: (edge: number, operation: number) => number) =>
    Array.from({ length: edgeOffset(4) }, (_, e) => DARTS_PRIMITIVES.map((_, k) => value(e, k)));
  const waves = rows((e, k) => Math.sin(1.7 * e + 0.9 * k));
  const derived = deriveGenotype({ normal: waves, reduce: rows(() => 0) }, DARTS_PRIMITIVES);
  const [avg, skip, max] = ["avg_pool_3x3", "skip_connect", "max_pool_3x3"] as const;
  const expected: Edge[] = [
    [avg, 0],
    ["dil_conv_5x5", 1],
    [skip, 1],
    ["sep_conv_5x5", 0],
    ["sep_conv_3x3", 1],
    [avg, 2],
    ["sep_conv_3x3", 1],
    [avg, 2],
  ];
  const level = Array.from({ length: 8 }, (_, i): Edge => [max, i % 2]);
  return [
    compare(
      "edges of a derived cell that are not the known ones",
      differing(edgesOfCell(derived.normal), expected),
      0,
      0,
    ),
    compare(
      "edges of a cell of level alphas that are not the first ones",
      differing(edgesOfCell(derived.reduce), level),
      0,
      0,
    ),
  ];
}

/** How many edges differ; lists of different lengths differ everywhere. */
function differing(got: readonly Edge[], expected: readonly Edge[]): number {
  if (got.length !== expected.length) return expected.length;
  return expected.filter(([op, source], i) => got[i]![0] !== op || got[i]![1] !== source).length;
}
