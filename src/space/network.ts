// The derived (evaluation) network: cells of one genotype, trained from scratch (DARTS, section 3.2).
import { type ImageSize, reducedSize } from "../genotype/counts.ts";
import { type Edge, edgesByNode, type Genotype, type Inputs } from "../genotype/genotype.ts";
import { Linear } from "../nn/layers.ts";
import { Identity, type Layer, Module, type Sequential } from "../nn/module.ts";
import { scope } from "../tensor/scope.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { AuxiliaryHead } from "./auxiliary-head.ts";
import { averageOf, type Images, toImages } from "./blocked.ts";
import { type DropPath, dropPath, pathScales } from "./drop-path.ts";
import { type FusedCell, forwardCell, fuseCell, type Kernels, type Storage } from "./fused-cell.ts";
import { operationBuilder } from "./operations.ts";
import { BlockCell } from "./reduction-block.ts";
import { DARTS_SKELETON, type Skeleton, stemHalvings } from "./skeleton.ts";
import { DARTS_SPACE, findSpace } from "./spaces.ts";
import { createStem, stemStates } from "./stem.ts";
import {
  type CellPass,
  type CellPlace,
  cellPlaces,
  inputStates,
  joined,
  lastActivation,
  preprocessing,
} from "./supernet.ts";

/** Shape of a derived network. */
export interface NetworkOptions {
  readonly genotype: Genotype;
  readonly channels: number;
  readonly cells: number;
  readonly classes: number;
  readonly imageChannels: number;
  /** Side of square images in pixels, or height and width. */
  readonly imageSize: ImageSize;
  /** `cifar`: the one of the genotype's space. */
  readonly stem: "cifar" | "imagenet";
  readonly auxiliary: boolean;
  /** How cells are computed; absent: auto. Fused cells have no second derivatives. */
  readonly kernels?: Kernels;
  /** Whether fused cells keep only their inputs and compute again in backward. An error where cells are not fused. */
  readonly recompute?: boolean;
  /** What fused cells keep for backward in; absent: fp32. bf16 is an error where cells are not fused. */
  readonly storage?: Storage;
}

/** A discrete cell: every node sums its chosen operations. */
export class NetworkCell extends Module {
  readonly preprocess0: Layer | undefined;
  readonly preprocess1: Layer | undefined;
  readonly _ops: readonly Layer[];
  /** Of each node; `_ops` holds their operations, node by node. */
  readonly edges: readonly (readonly Edge[])[];
  readonly concat: readonly number[];
  readonly inputs: Inputs;
  readonly kernels: Kernels;
  readonly recompute: boolean;
  readonly storage: Storage;
  readonly #fused: FusedCell | undefined;

  constructor(
    genotype: Genotype,
    place: CellPlace,
    {
      kernels = "auto",
      recompute = false,
      storage = "fp32",
      affine = true,
      skeleton = DARTS_SKELETON,
    }: Pick<NetworkOptions, "kernels" | "recompute" | "storage"> & {
      readonly affine?: boolean;
      readonly skeleton?: Skeleton;
    } = {},
  ) {
    super();
    const { channels, reduction } = place;
    const { inputs } = skeleton;
    this.inputs = inputs;
    this.edges = edgesByNode(reduction ? genotype.reduce : genotype.normal);
    this.concat = reduction ? genotype.reduceConcat : genotype.normalConcat;
    [this.preprocess0, this.preprocess1] = preprocessing(place, affine, skeleton);
    this._ops = this.edges
      .flat()
      .map(([op, source]) => operationBuilder(op)(channels, reduction && source < inputs ? 2 : 1, affine));
    this.kernels = kernels;
    this.recompute = recompute;
    this.storage = storage;
    const [older, newer] = [this.preprocess0, this.preprocess1];
    // The kernels' cells read two, and bring both to their channels.
    if (kernels === "composite" || !older || !newer) return;
    const placed = this.edges.flatMap((edges, node) =>
      edges.map(([primitive, source]) => ({ primitive, source, node })),
    );
    const edges = placed.map(({ primitive, source, node }, i) => ({
      source,
      target: 2 + node,
      operations: [{ primitive, module: this._ops[i] }],
    }));
    this.#fused = fuseCell({
      channels,
      preprocess: [older, newer],
      edges,
      nodes: this.edges.length,
      reduction,
      concat: this.concat,
    });
  }

  /** Whether the kernels compute this cell, where they take its inputs. */
  get fused(): boolean {
    return this.#fused !== undefined;
  }

  /** [N, C0, H, W], [N, C1, H', W'] → [N, states·channels, H'', W''], in the layout of its inputs. */
  forward<Layout extends Images>(
    s0: Layout,
    s1: Layout,
    { composite = false, probability = 0, ...draw }: CellPass = {},
  ): Layout {
    const drop: DropPath = { probability, ...draw };
    return forwardCell(s0, s1, {
      kernels: composite ? "composite" : this.kernels,
      recompute: this.recompute && !composite,
      storage: composite ? "fp32" : this.storage,
      fused: composite ? undefined : this.#fused,
      parts: this.concat.length,
      pass: (images) => ({
        training: this.training,
        recompute: this.recompute,
        storage: this.storage,
        paths: this.#paths(images, drop),
      }),
      composite: (x0, x1) => this.#compose(x0, x1, drop),
    });
  }

  #compose(s0: Tensor, s1: Tensor, drop: DropPath): Tensor {
    const states = inputStates([this.preprocess0, this.preprocess1], [s0, s1], this.inputs);
    let path = 0;
    for (const edges of this.edges) {
      const terms = edges.map(([, source]) => this.#path(path++, states[source], drop));
      states.push(terms.reduce((a, b) => a.add(b)));
    }
    return joined(states, this.concat);
  }

  #path(i: number, state: Tensor, drop: DropPath): Tensor {
    const operation = this._ops[i];
    const value = operation.forward(state);
    return this.training && !(operation instanceof Identity) ? dropPath(value, drop) : value;
  }

  /** The scales of all paths, [edges, N], drawn in the order in which the composite cell draws them. */
  #paths(images: number, drop: DropPath): Tensor | undefined {
    if (!this.training || drop.probability === 0) return undefined;
    const drops = (path: number) => !(this._ops[path] instanceof Identity);
    return pathScales({ paths: this._ops.length, images }, drop, drops);
  }
}

/** Logits [N, classes]; those of the auxiliary head in training, when there is one. */
export interface NetworkOutput {
  readonly logits: Tensor;
  readonly auxiliary?: Tensor;
}

/** A network of discrete cells with the names of the reference code's NetworkCIFAR and NetworkImageNet. */
export class Network extends Module {
  readonly stem: Layer | undefined;
  readonly stem0: Layer | undefined;
  readonly stem1: Layer | undefined;
  readonly cells: readonly (NetworkCell | BlockCell)[];
  readonly auxiliary_head: AuxiliaryHead | undefined;
  /** What some spaces have before the pooling. */
  readonly lastact: Sequential | undefined;
  readonly classifier: Linear;

  constructor(options: NetworkOptions) {
    super();
    const { genotype, channels, cells, classes, imageChannels, imageSize } = options;
    const { skeleton } = findSpace(genotype.space ?? DARTS_SPACE.name);
    const name = options.stem === "imagenet" ? "imagenet" : skeleton.stem;
    const imagenet = name === "imagenet";
    const stem = createStem(name, { imageChannels, channels, multiplier: skeleton.stemMultiplier });
    this.stem = stem.stem;
    this.stem0 = stem.stem0;
    this.stem1 = stem.stem1;

    const width = { normal: genotype.normalConcat.length, reduce: genotype.reduceConcat.length };
    const places = cellPlaces({
      channels,
      cells,
      width,
      stem: stem.channels,
      afterReduction: imagenet,
      skeleton,
    });
    const { kernels, recompute, storage } = options;
    this.cells = places.map((place) =>
      place.reduction && skeleton.reduction !== "cell"
        ? new BlockCell(skeleton.reduction, place)
        : new NetworkCell(genotype, place, { kernels, recompute, storage, skeleton }),
    );

    const auxiliaryAt = this.#auxiliaryAt(cells);
    const reductions = places.filter((place, i) => place.reduction && i <= auxiliaryAt).length;
    this.auxiliary_head = options.auxiliary
      ? new AuxiliaryHead({
          inChannels: places[auxiliaryAt].outputChannels,
          classes,
          size: reducedSize(imageSize, stemHalvings(name) + reductions),
          secondNorm: !imagenet,
        })
      : undefined;
    const { outputChannels } = places[places.length - 1];
    this.lastact = lastActivation(skeleton, outputChannels);
    this.classifier = new Linear(outputChannels, classes);
  }

  /** [N, imageChannels, H, W] → logits. Paths are dropped in training only. */
  forward(images: Tensor, drop: DropPath = { probability: 0 }): NetworkOutput {
    return scope(() => {
      let auxiliary: Tensor | undefined;
      // One layout for the whole network; cells that the kernels do not cover convert their own.
      const blocked = this.cells.some((cell) => cell.fused);
      let [s0, s1] = stemStates(this, images, { blocked });
      for (const [i, cell] of this.cells.entries()) {
        [s0, s1] = [s1, cell.forward(s0, s1, drop)];
        if (this.training && i === this.#auxiliaryAt(this.cells.length))
          auxiliary = this.auxiliary_head?.forward(toImages(s1));
      }
      const last = this.lastact ? this.lastact.forward(toImages(s1)) : s1;
      return { logits: this.classifier.forward(averageOf(last)), auxiliary };
    });
  }

  #auxiliaryAt(cells: number): number {
    return Math.floor((2 * cells) / 3);
  }
}
