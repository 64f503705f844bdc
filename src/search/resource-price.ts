// The price of the resources that a mixture uses (SNAS, section 2.3, with the figures of its reference code): parameters,
// multiply-adds and memory access of every candidate at the sizes that it meets in the supernet.
import { type CellShape, countEdge, reducedSize } from "../genotype/counts.ts";
import { edgesOf } from "../genotype/genotype.ts";
import type { Primitive } from "../space/primitives.ts";
import { stemHalvings } from "../space/skeleton.ts";
import { DARTS_SPACE } from "../space/spaces.ts";
import { aten } from "../tensor/aten.ts";
import { scope } from "../tensor/scope.ts";
import { scalar, type Tensor } from "../tensor/tensor.ts";
import { expectedOn } from "./budget.ts";
import type { MethodContext } from "./method.ts";

/** What one candidate on one edge uses for one image. */
export interface Resources {
  /** Without those of batch normalisation. */
  readonly parameters: number;
  readonly macs: number;
  /** Numbers read and written: each layer's input, output and parameters. */
  readonly memory: number;
}

/** What is priced, and how. */
export interface PriceOptions {
  readonly kind: "all" | keyof Resources;
  readonly scale: "log" | "linear";
  /** Weight of the reduction cells' mean beside that of the normal cells. */
  readonly reduceWeight: number;
}

/** The price of the weights [edges, primitives] of the normal and, where they are searched, of the reduction cells: a scalar with a graph. */
export type ResourcePrice = (normal: Tensor, reduce?: Tensor) => Tensor;

/**
 * The mean over the normal cells plus `reduceWeight` times that over the reduction cells; a cell costs the sum over
 * its edges. On the scale `log` an edge costs the mean of the logarithms of its expected figures (each at least 1),
 * on the scale `linear` 0.43·(2·parameters + macs/4000 + memory/100) or, of a single kind, that figure itself.
 */
export function createResourcePrice(
  {
    channels,
    cells,
    imageSize,
    nodes,
    primitives,
    candidates,
    space = DARTS_SPACE,
  }: Omit<MethodContext, "random">,
  { kind, scale, reduceWeight }: PriceOptions,
): ResourcePrice {
  const shapes = cellShapes({ channels, cells, imageSize, space });
  const kinds = kind === "all" ? (["parameters", "macs", "memory"] as const) : [kind];
  const there = (cell: "normal" | "reduce", edge: number) => candidates?.[cell][edge]?.length !== 0;
  // Of each cell, one table [edges][primitives] for each kind; an edge that is not there costs nothing.
  const tables = shapes.map((shape) => ({
    reduction: shape.reduction,
    figures: kinds.map((name) =>
      edgesOf(nodes, space.skeleton.inputs).map(({ edge, source }) =>
        primitives.map((primitive) =>
          there(shape.reduction ? "reduce" : "normal", edge)
            ? resourcesOf(primitive, source, shape)[name]
            : 0,
        ),
      ),
    ),
  }));
  const costOf = (weights: Tensor, figures: readonly number[][][]): Tensor => {
    const expected = figures.map((figure) => expectedOn(weights, figure));
    const terms =
      scale === "log"
        ? expected.map((figure) => aten.log.default(aten.clamp.default(figure, 1)).div(kinds.length))
        : expected.map((figure, i) => (kind === "all" ? figure.mul(LINEAR[kinds[i]!]) : figure));
    return terms.reduce((a, b) => a.add(b)).sum();
  };
  return (normal, reduce) =>
    scope(() => {
      const meanOver = (weights: Tensor, reduction: boolean): Tensor => {
        const own = tables.filter((table) => table.reduction === reduction);
        const { dtype, device } = weights;
        const costs = own.map(({ figures }) => costOf(weights, figures));
        return costs.reduce((a, b) => a.add(b), scalar(0, { dtype, device })).div(Math.max(1, own.length));
      };
      const price = meanOver(normal, false);
      return reduce ? price.add(meanOver(reduce, true).mul(reduceWeight)) : price;
    });
}

/** What a candidate on the edge from state `source` uses in a cell. */
export function resourcesOf(primitive: Primitive, source: number, cell: CellShape): Resources {
  const { params, macs } = countEdge(primitive, source, cell, false);
  const { channels, size, reduction, inputs = 2 } = cell;
  const halves = reduction && source < inputs;
  const isPool = primitive.includes("pool");
  const pixels = channels * size[0] * size[1];
  return {
    parameters: params,
    macs: isPool ? 9 * pixels : macs,
    memory: (ACCESSES[primitive] ?? [2, 5])[halves ? 1 : 0] * pixels + params,
  };
}

/** Weights of the three kinds on the linear scale. */
const LINEAR: Readonly<Record<keyof Resources, number>> = {
  parameters: 0.43 * 2,
  macs: 0.43 / 4000,
  memory: 0.43 / 100,
};

/**
 * Images read and written, in those of the output's size, at stride 1 and 2: a layer of stride 2 reads four. An
 * operation of a plugin counts as one layer.
 */
const ACCESSES: Readonly<Record<Primitive, readonly [number, number]>> = {
  none: [0, 0],
  max_pool_3x3: [2, 5],
  avg_pool_3x3: [2, 5],
  skip_connect: [2, 9], // at stride 2 two convolutions, each of four images to half of one
  sep_conv_3x3: [8, 11],
  sep_conv_5x5: [8, 11],
  sep_conv_7x7: [8, 11],
  dil_conv_3x3: [4, 7],
  dil_conv_5x5: [4, 7],
  conv_7x1_1x7: [4, 9], // at stride 2 the first halves the width alone
  group_conv_3x1_1x3: [6, 11],
  norm_max_pool_3x3: [2, 5],
  nor_conv_1x1: [2, 5],
  nor_conv_3x3: [2, 5],
};

/** Of the cells that are searched: a block between them has no part in the price. */
function cellShapes({
  channels,
  cells,
  imageSize,
  space: { skeleton },
}: Pick<MethodContext, "channels" | "cells" | "imageSize"> &
  Required<Pick<MethodContext, "space">>): CellShape[] {
  const { inputs, reductionsAt } = skeleton;
  const reductions = reductionsAt(cells);
  const shapes: CellShape[] = [];
  let own = channels;
  let sizeIn: CellShape["size"] = reducedSize(imageSize, stemHalvings(skeleton.stem));
  for (let i = 0; i < cells; i++) {
    const reduction = reductions.includes(i);
    if (reduction) own *= 2;
    const size = reduction ? reducedSize(sizeIn, 1) : sizeIn;
    if (!reduction || skeleton.reduction === "cell")
      shapes.push({ channels: own, reduction, inputs, sizeIn, size });
    sizeIn = size;
  }
  return shapes;
}
