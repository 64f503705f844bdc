// Exact parameter counts and multiply-adds by arithmetic on shapes: what a network costs before it is built.
// The modules are those of the DARTS code: no convolution has a bias, a batch norm with affine adds 2C, and
// the multiply-adds are those of convolutions and the classifier (no batch norms, no pools, no auxiliary head).
import { outputOf } from "../space/declare-space.ts";
import { addedPrimitive, type Primitive } from "../space/primitives.ts";
import { blockCost, type Skeleton, stemFacts, stemHalvings } from "../space/skeleton.ts";
import { DARTS_SPACE, findSpace } from "../space/spaces.ts";
import { edgesOf, edgesOfCell, type Genotype, type Inputs } from "./genotype.ts";

/** A number of weights and of multiply-adds for one image. */
export interface Cost {
  readonly params: number;
  readonly macs: number;
}

/** Side of square images in pixels, or height and width. */
export type ImageSize = number | readonly [height: number, width: number];

/** The cost of one cell; `channels` are those of a node and `size` is the output's: [height, width] in pixels. */
export interface CellCost extends Cost {
  readonly channels: number;
  readonly outputChannels: number;
  readonly size: readonly [height: number, width: number];
  readonly reduction: boolean;
}

/** The cost of an evaluation network. */
export interface NetworkCost extends Cost {
  /** Weights together with the auxiliary head, which training adds and which papers do not count. */
  readonly paramsWithAux: number;
  readonly stem: Cost;
  readonly cells: readonly CellCost[];
  readonly classifier: Cost;
}

/** The cost of a supernet, alphas not counted. */
export interface SupernetCost extends Cost {
  readonly stem: Cost;
  readonly cells: readonly CellCost[];
  readonly classifier: Cost;
}

/** The shape of an evaluation network; the defaults are those of CIFAR-10 (10 classes, 32 pixels; 224 with the ImageNet stem). */
export interface NetworkShape {
  readonly channels: number;
  readonly cells: number;
  readonly classes?: number;
  readonly imageSize?: ImageSize;
  readonly imageChannels?: number;
  /** `cifar`: the one of the space. */
  readonly stem?: "cifar" | "imagenet";
  /** Channels of the CIFAR stem in multiples of the first cell's. */
  readonly stemMultiplier?: number;
}

/** The shape of a supernet. */
export interface SupernetShape extends NetworkShape {
  readonly nodes?: number;
  readonly primitives: readonly Primitive[];
  /** Name of the space whose network it is; absent: that of DARTS. */
  readonly space?: string;
  /** K of PC-DARTS: the operations see 1/K of the channels. */
  readonly partialChannels?: number;
  /** The reduction cell, where it is not searched (GDAS-FRC). */
  readonly fixed?: Pick<Genotype, "reduce" | "reduceConcat"> | undefined;
}

/** Counts the evaluation network of a genotype (DARTS: C = 36 and 20 cells; on ImageNet 48 and 14). */
export function countNetwork(genotype: Genotype, shape: NetworkShape): NetworkCost {
  const { skeleton } = findSpace(genotype.space ?? DARTS_SPACE.name);
  const network = countChain({ ...shape, skeleton, affine: true }, (cell) => {
    const edges = edgesOfCell(cell.reduction ? genotype.reduce : genotype.normal);
    const concat = cell.reduction ? genotype.reduceConcat : genotype.normalConcat;
    const costs = edges.map(([op, from]) => countEdge(op, from, cell, true));
    return { ...sum(costs), states: concat.length };
  });
  const { classes = 10, cells } = shape;
  const stem = shape.stem === "imagenet" || skeleton.stem === "imagenet" ? "imagenet" : "cifar";
  const auxiliary = countAuxiliary(network.cells[Math.floor((2 * cells) / 3)]!.outputChannels, classes, stem);
  return { ...network, paramsWithAux: network.params + auxiliary };
}

/** Counts the supernet of a search (DARTS: C = 16 and 8 cells): every operation on every edge (of a fixed reduction cell, its own), no affine. */
export function countSupernet({
  nodes = 4,
  primitives,
  partialChannels = 1,
  space = DARTS_SPACE.name,
  fixed,
  ...shape
}: SupernetShape): SupernetCost {
  const { skeleton } = findSpace(space);
  return countChain({ ...shape, skeleton, affine: false }, (cell) => {
    if (cell.reduction && fixed) {
      const own = edgesOfCell(fixed.reduce).map(([op, from]) => countEdge(op, from, cell, false));
      return { ...sum(own), states: fixed.reduceConcat.length };
    }
    const part = { ...cell, channels: cell.channels / partialChannels };
    const costs = edgesOf(nodes, skeleton.inputs).flatMap(({ source }) =>
      primitives.map((op) => countEdge(op, source, part, false)),
    );
    return { ...sum(costs), states: outputOf(skeleton, nodes).length };
  });
}

/** Weights of the auxiliary head behind the second reduction cell: 1x1 to 128, 2x2 to 768, classifier. */
export function countAuxiliary(channels: number, classes: number, stem: "cifar" | "imagenet"): number {
  // The ImageNet head of the DARTS code leaves out its second batch norm, as the paper's network did.
  const secondNorm = stem === "cifar" ? 2 * 768 : 0;
  return channels * 128 + 2 * 128 + 128 * 768 * 4 + secondNorm + 768 * classes + classes;
}

/** Height and width after being halved, rounded up, `times` times: what a stride of 2 leaves, with our paddings. */
export function reducedSize(size: ImageSize, times: number): [height: number, width: number] {
  let [height, width] = typeof size === "number" ? [size, size] : size;
  for (let i = 0; i < times; i++) [height, width] = [Math.ceil(height / 2), Math.ceil(width / 2)];
  return [height, width];
}

/** What a cell is counted from: its own channels, the size of its inputs and of its output. */
export interface CellShape {
  readonly channels: number;
  readonly reduction: boolean;
  /** Cells that it reads; absent: two. */
  readonly inputs?: Inputs;
  readonly sizeIn: readonly [height: number, width: number];
  readonly size: readonly [height: number, width: number];
}

/** Stem, chain of cells and classifier; `countEdges` counts the inside of one cell. */
function countChain(
  { skeleton, affine, ...shape }: NetworkShape & { readonly skeleton: Skeleton; readonly affine: boolean },
  countEdges: (cell: CellShape) => Cost & { states: number },
): SupernetCost {
  const { classes = 10, cells: cellCount } = shape;
  const { inputs, reductionsAt, stemMultiplier } = skeleton;
  const reductions = reductionsAt(cellCount);
  const stem = countStem({
    stemMultiplier,
    ...shape,
    stem: shape.stem === "imagenet" ? shape.stem : skeleton.stem,
  });
  const cells: CellCost[] = [];
  let { size, channelsBefore, channelsPrevious } = stem;
  let { channels } = shape;
  for (let index = 0; index < cellCount; index++) {
    const reduction = reductions.includes(index);
    if (reduction) channels *= 2;
    const cell = { channels, reduction, inputs, sizeIn: size, size: reduction ? reducedSize(size, 1) : size };
    const { outputChannels, ...inside } =
      reduction && skeleton.reduction !== "cell"
        ? countBlock(skeleton.reduction, cell, channelsPrevious)
        : countInside(cell, countEdges, {
            affine,
            // State 0 arrives twice as large after a reduction; FactorizedReduce brings it to `size` as it projects it.
            projected: inputs === 2 ? [channelsBefore, channelsPrevious] : [channelsPrevious],
            preprocess: skeleton.preprocess,
          });
    cells.push({ channels, outputChannels, size: cell.size, reduction, ...inside });
    [channelsBefore, channelsPrevious] = [channelsPrevious, outputChannels];
    size = cell.size;
  }
  const norm = skeleton.head === "norm-relu-pool" ? 2 * channelsPrevious : 0;
  const classifier = {
    params: norm + channelsPrevious * classes + classes,
    macs: channelsPrevious * classes,
  };
  return { ...sum([stem, ...cells, classifier]), stem: sum([stem]), cells, classifier };
}

/** A cell: the projections of what it reads, and its edges. */
function countInside(
  cell: CellShape,
  countEdges: (cell: CellShape) => Cost & { states: number },
  {
    affine,
    projected,
    preprocess,
  }: { readonly affine: boolean; readonly projected: readonly number[]; readonly preprocess: boolean },
): Cost & { outputChannels: number } {
  const { channels, sizeIn } = cell;
  const { states, ...edges } = countEdges(cell);
  const projections = (preprocess ? projected : []).map((from) => ({
    params: from * channels + (affine ? 2 * channels : 0),
    macs: from * channels * pixelsOf(sizeIn),
  }));
  return { ...sum([...projections, edges]), outputChannels: states * channels };
}

/** A block, which puts out twice the channels that it reads. */
function countBlock(
  name: string,
  { sizeIn, size }: CellShape,
  inChannels: number,
): Cost & { outputChannels: number } {
  const outputChannels = 2 * inChannels;
  const shape = { inChannels, outChannels: outputChannels, inputSize: sizeIn, outputSize: size };
  return { ...blockCost(name, shape), outputChannels };
}

/** The stem, whose batch norms are affine in the supernet too, and the two states it hands to the first cell. */
function countStem({
  channels,
  imageSize,
  imageChannels = 3,
  stem,
  stemMultiplier = 3,
}: Omit<NetworkShape, "stem"> & Pick<Skeleton, "stem">) {
  if (stem !== "imagenet") {
    const given = reducedSize(imageSize ?? 32, 0);
    const size = reducedSize(given, stemHalvings(stem));
    const out = stemMultiplier * channels;
    const states = { size, channelsBefore: out, channelsPrevious: out };
    if (stem !== "cifar")
      return { ...stemFacts(stem).cost({ imageChannels, outChannels: out, imageSize: given }), ...states };
    const weights = 9 * imageChannels * out;
    return { params: weights + 2 * out, macs: weights * pixelsOf(size), ...states };
  }
  // Three convolutions of stride 2; the first cell's inputs are the outputs of the second and of the third.
  const halfChannels = Math.floor(channels / 2);
  const first = reducedSize(imageSize ?? 224, 1);
  const second = reducedSize(first, 1);
  const size = reducedSize(second, 1);
  const convolutions = [
    { weights: 9 * imageChannels * halfChannels, out: halfChannels, pixels: pixelsOf(first) },
    { weights: 9 * halfChannels * channels, out: channels, pixels: pixelsOf(second) },
    { weights: 9 * channels * channels, out: channels, pixels: pixelsOf(size) },
  ];
  const costs = convolutions.map(({ weights, out, pixels }) => ({
    params: weights + 2 * out,
    macs: weights * pixels,
  }));
  return { ...sum(costs), size, channelsBefore: channels, channelsPrevious: channels };
}

/** One operation on the edge from state `from`: in a reduction cell, edges from the cell's inputs have stride 2. */
export function countEdge(op: Primitive, from: number, cell: CellShape, affine: boolean): Cost {
  const { channels: c, reduction, inputs = 2, sizeIn, size } = cell;
  const stride = reduction && from < inputs ? 2 : 1;
  const norm = affine ? 2 * c : 0;
  const pixels = pixelsOf(size);
  /** Depthwise k x k, then 1x1. */
  const separable = (k: number): Cost => ({
    params: k * k * c + c * c + norm,
    macs: (k * k * c + c * c) * pixels,
  });
  const twice = (cost: Cost): Cost => sum([cost, cost]);
  switch (op) {
    case "none":
    case "max_pool_3x3":
    case "avg_pool_3x3":
      return { params: 0, macs: 0 };
    case "skip_connect": // FactorizedReduce where the size changes
      return stride === 1 ? { params: 0, macs: 0 } : { params: c * c + norm, macs: c * c * pixels };
    case "sep_conv_3x3":
      return twice(separable(3));
    case "sep_conv_5x5":
      return twice(separable(5));
    case "sep_conv_7x7":
      return twice(separable(7));
    case "dil_conv_3x3":
      return separable(3);
    case "dil_conv_5x5":
      return separable(5);
    case "conv_7x1_1x7": {
      // The first of the two halves only the width.
      const [rows] = stride === 2 ? sizeIn : size;
      return { params: 14 * c * c + norm, macs: 7 * c * c * (rows * size[1] + pixels) };
    }
    case "group_conv_3x1_1x3": {
      // In eight groups; the first of the two halves only the width.
      const [rows] = stride === 2 ? sizeIn : size;
      const weights = (3 * c * c) / 8;
      return {
        params: 2 * weights + c * c + 2 * norm,
        macs: weights * (rows * size[1] + pixels) + c * c * pixels,
      };
    }
    case "norm_max_pool_3x3":
      return { params: norm, macs: 0 };
    case "nor_conv_1x1":
      return { params: c * c + norm, macs: c * c * pixels };
    case "nor_conv_3x3":
      return { params: 9 * c * c + norm, macs: 9 * c * c * pixels };
    default: // a plugin's
      return addedPrimitive(op).cost({
        channels: c,
        stride,
        affine,
        inputSize: stride === 2 ? sizeIn : size,
        outputSize: size,
      });
  }
}

function pixelsOf([height, width]: readonly [height: number, width: number]): number {
  return height * width;
}

function sum(costs: readonly Cost[]): Cost {
  let [params, macs] = [0, 0];
  for (const cost of costs) {
    params += cost.params;
    macs += cost.macs;
  }
  return { params, macs };
}
