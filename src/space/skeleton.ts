// The network that the cells of a space stand in: what a cell reads and puts out, where the size halves and by what,
// and how images come in and logits go out. Plain data without tensors; a block is known by its name, like an operation.
import type { Cost } from "../genotype/counts.ts";
import { type Inputs, thirds } from "../genotype/genotype.ts";

/** How a space's cells make a network. */
export interface Skeleton {
  /** Cells before that a cell reads: the two before it, or the one. */
  readonly inputs: Inputs;
  /**
   * Whether ReLU, 1×1 convolution and batch norm bring what a cell reads to its channels. Cells that read two cells
   * always do so; one that reads one cell of its own channels need not.
   */
  readonly preprocess: boolean;
  /** Nodes that a cell puts out: all, joined on the channels, or the last. */
  readonly output: "all" | "last";
  /** What halves height and width and doubles the channels: a cell that is searched too, or a block of this name. */
  readonly reduction: "cell" | (string & Record<never, never>);
  /** The places, from 0, at which it stands among so many; blocks are counted like cells. */
  readonly reductionsAt: (cells: number) => readonly number[];
  /**
   * What images pass before the first cell: a 3×3 convolution and batch norm (`cifar`), the three convolutions of stride
   * 2 that DARTS has on ImageNet, of which the first cell reads the second and the third, or a layer of this name. The
   * derived network has it too, unless `train.stem` is imagenet.
   */
  readonly stem: "cifar" | "imagenet" | (string & Record<never, never>);
  /** Channels of the stem in multiples of the first cell's; that of ImageNet has as many as the first cell. */
  readonly stemMultiplier: number;
  /** What comes before the classifier: the mean over the image, or batch norm, ReLU and that mean. */
  readonly head: "pool" | "norm-relu-pool";
}

/** DARTS (ICLR 2019): cells that read two cells and put out all nodes, reduction cells at 1/3 and 2/3 of the depth. */
export const DARTS_SKELETON: Skeleton = {
  inputs: 2,
  preprocess: true,
  output: "all",
  reduction: "cell",
  reductionsAt: thirds,
  stem: "cifar",
  stemMultiplier: 3,
  head: "pool",
};

/** A reduction block, as its cost is asked for: it reads `inChannels` of the input's size. */
export interface BlockShape {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly inputSize: readonly [height: number, width: number];
  readonly outputSize: readonly [height: number, width: number];
}

const costs = new Map<string, (shape: BlockShape) => Cost>([["residual", residualCost]]);

/** Weights and multiply-adds of the reduction block of that name; throws for one that nobody has added. */
export function blockCost(name: string, shape: BlockShape): Cost {
  const cost = costs.get(name);
  if (!cost) throw new RangeError(`there is no reduction block ${name}; load the plugin that adds it`);
  return cost(shape);
}

/** Whether there is a reduction block of that name. */
export function isBlock(name: string): boolean {
  return costs.has(name);
}

/** Adds the cost of a plugin's reduction block; its name must be free. */
export function addBlockCost(name: string, cost: (shape: BlockShape) => Cost): void {
  costs.set(name, cost);
}

/** Two 3×3 convolutions with batch norm, and a 1×1 convolution on the pooled input (NAS-Bench-201). */
function residualCost({ inChannels, outChannels, outputSize: [height, width] }: BlockShape): Cost {
  const weights = 9 * inChannels * outChannels + 9 * outChannels ** 2 + inChannels * outChannels;
  return { params: weights + 4 * outChannels, macs: weights * height * width };
}

/** A stem, as its cost is asked for: it reads images of `imageSize`. */
export interface StemShape {
  readonly imageChannels: number;
  readonly outChannels: number;
  readonly imageSize: readonly [height: number, width: number];
}

/** What is known of a stem of one's own without building it. */
export interface StemFacts {
  /** How often it halves height and width, rounded up. */
  readonly halvings: number;
  readonly cost: (shape: StemShape) => Cost;
}

const stems = new Map<string, StemFacts>();

/** How often a stem halves height and width; throws for one that nobody has added. */
export function stemHalvings(name: string): number {
  if (name === "cifar") return 0;
  return name === "imagenet" ? 3 : stemFacts(name).halvings;
}

/** What is known of the stem of that name, which is no stem of DARTS; throws for one that nobody has added. */
export function stemFacts(name: string): StemFacts {
  const facts = stems.get(name);
  if (!facts) throw new RangeError(`there is no stem ${name}; load the plugin that adds it`);
  return facts;
}

/** Whether there is a stem of that name. */
export function isStem(name: string): boolean {
  return name === "cifar" || name === "imagenet" || stems.has(name);
}

/** Adds what is known of a plugin's stem; its name must be free. */
export function addStemFacts(name: string, facts: StemFacts): void {
  stems.set(name, facts);
}
