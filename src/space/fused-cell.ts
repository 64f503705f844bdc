// A supernet cell as one fused operator (native/kernels): forward and backward of its preprocessing and all edges together.
// The modules stay those of the composite cell, so parameters, buffers and their names do too; the two ways to
// compute a cell are each other's oracle.
import { BatchNorm2d } from "../nn/layers.ts";
import type { Layer, Module } from "../nn/module.ts";
import { operator } from "../tensor/aten.ts";
import { scope } from "../tensor/scope.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { BlockedImages } from "./blocked.ts";
import { MixedOp } from "./mixed-op.ts";
import { FactorizedReduce, ReLUConvBN } from "./operations.ts";
import { DARTS_PRIMITIVES, type Primitive } from "./primitives.ts";
import type { CellMixture } from "./supernet.ts";

/** What the fused operator computes: a cell's preprocessing and its edges, node by node, and how they are laid out. */
export interface FusedCellOptions {
  /** Of each state. */
  readonly channels: number;
  /** How the inputs become states 0 and 1; absent: they are these states. */
  readonly preprocess?: readonly [Preprocess, Preprocess];
  readonly edges: readonly MixedOp[];
  readonly nodes: number;
  readonly reduction: boolean;
  readonly primitives: readonly Primitive[];
}

/** The preprocessing that the kernels know. */
export type Preprocess = ReLUConvBN | FactorizedReduce;

/** A cell on the fused kernels. Holds the layers' live parameters and buffers, and owns none. */
export class FusedCell {
  readonly #options: FusedCellOptions;
  readonly #weights: readonly Tensor[];
  readonly #statistics: readonly Tensor[];
  readonly #preprocess: readonly number[];
  readonly #affine: boolean;
  readonly #operations: readonly number[];
  readonly #momentum: number;
  readonly #eps: number;

  constructor(options: FusedCellOptions) {
    this.#options = options;
    const layers = [...(options.preprocess ?? []), ...options.edges];
    this.#weights = layers.flatMap((layer) => layer.parameters());
    this.#statistics = layers.flatMap((layer) => layer.buffers());
    this.#preprocess = options.preprocess?.map(kindOf) ?? [0, 0];
    this.#operations = options.primitives.map((primitive) =>
      (DARTS_PRIMITIVES as readonly string[]).indexOf(primitive),
    );
    const norm = findNorm(layers);
    this.#affine = (options.preprocess ?? []).some((layer) => findNorm([layer])?.weight !== undefined);
    this.#momentum = norm?.momentum ?? 0.1;
    this.#eps = norm?.eps ?? 1e-5;
  }

  /** The cell's inputs → the nodes' states, as the parts of one. */
  forward(s0: BlockedImages, s1: BlockedImages, { operations, edges, active }: CellMixture): BlockedImages {
    const { channels, nodes, reduction, edges: modules, primitives } = this.#options;
    return scope(() => {
      // An edge's weight multiplies all of its candidates: it can as well multiply their weights.
      const mixture = edges ? operations.mul(edges.reshape([-1, 1])) : operations;
      const flags = active?.flatMap((chosen) => primitives.map((_, k) => (chosen.includes(k) ? 1 : 0))) ?? [];
      const blocks = operator("darts::cell")(
        s0.blocks,
        s1.blocks,
        mixture,
        this.#weights,
        this.#statistics,
        channels,
        [s0.channels, s1.channels],
        this.#preprocess,
        this.#affine,
        nodes,
        reduction,
        this.#operations,
        flags,
        modules[0].training,
        this.#momentum,
        this.#eps,
      ) as Tensor;
      return new BlockedImages(blocks, channels);
    });
  }
}

/** The fused form of a cell, or undefined where the kernels do not cover its preprocessing or its edges. */
export function fuseCell(
  { preprocess, edges }: { preprocess: readonly [Layer, Layer]; edges: readonly unknown[] },
  options: Omit<FusedCellOptions, "edges" | "preprocess">,
): FusedCell | undefined {
  const known = options.primitives.every((name) => (DARTS_PRIMITIVES as readonly string[]).includes(name));
  const covered =
    known && options.nodes <= MAX_NODES && new Set(options.primitives).size === options.primitives.length;
  // Exactly MixedOp: an edge of a class of its own computes something else.
  const plain = edges.filter(
    (edge): edge is MixedOp => edge instanceof MixedOp && edge.constructor === MixedOp,
  );
  if (!covered || plain.length < edges.length || !isKnown(preprocess)) return undefined;
  return new FusedCell({ ...options, preprocess, edges: plain });
}

/** Whether the kernels can take these images; else the composite cell must. */
export function fusable(images: Tensor): boolean {
  return images.device === "cpu" && images.dtype === "float32";
}

/** The place of a layer's class among the kinds of preprocessing: see Preprocess in native/kernels/cell.h. */
function kindOf(layer: Preprocess): number {
  return layer instanceof FactorizedReduce ? 2 : 1;
}

function isKnown(layers: readonly [Layer, Layer]): layers is readonly [Preprocess, Preprocess] {
  return layers.every((layer) => layer.constructor === ReLUConvBN || layer.constructor === FactorizedReduce);
}

/** Gives back the memory that the kernels keep between steps: when a search is over, training needs it. */
export function releaseKernelMemory(): void {
  operator("darts::release_memory")();
}

/** The kernels' fixed size: see kMaxNodes in native/kernels/cell.h. */
const MAX_NODES = 10;

function findNorm(layers: readonly Module[]): BatchNorm2d | undefined {
  for (const layer of layers)
    for (const module of layer.modules()) if (module instanceof BatchNorm2d) return module;
  return undefined;
}
