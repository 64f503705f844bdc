// The supernet (DARTS, sections 2.1 and 2.2): cells whose edges mix all candidate operations.
// The alphas are not in here: a search method makes the mixture's weights from them before each pass.
import { allNodes, edgeOffset, edgesOf, type Inputs } from "../genotype/genotype.ts";
import { BatchNorm2d, Linear, ReLU } from "../nn/layers.ts";
import { type Layer, Module, Sequential } from "../nn/module.ts";
import { scope } from "../tensor/scope.ts";
import { cat, type Tensor } from "../tensor/tensor.ts";
import { averageOf, type Images, toImages } from "./blocked.ts";
import type { Candidates } from "./candidates.ts";
import type { CellPlan } from "./cell-plan.ts";
import { outputOf } from "./declare-space.ts";
import { type DropPath, dropPath, pathScales } from "./drop-path.ts";
import { type FusedCell, forwardCell, fuseCell, type Kernels, type Storage } from "./fused-cell.ts";
import { type EdgeContext, type EdgeModule, MixedOp } from "./mixed-op.ts";
import { FactorizedReduce, ReLUConvBN } from "./operations.ts";
import { PartialMixedOp } from "./partial-channels.ts";
import type { Primitive } from "./primitives.ts";
import { BlockCell } from "./reduction-block.ts";
import { DARTS_SKELETON, type Skeleton } from "./skeleton.ts";
import { SkipDropoutOp } from "./skip-dropout.ts";
import { createStem, stemStates } from "./stem.ts";

/** How the cells of one type mix their edges' candidates. */
export interface CellMixture {
  /** Weight of each candidate on each edge, [edges, operations]. */
  readonly operations: Tensor;
  /** Weight of each edge in its node's sum, [edges]; absent: 1 each. */
  readonly edges?: Tensor;
  /** Candidates to evaluate on each edge; absent: all. */
  readonly active?: readonly (readonly number[])[];
}

/**
 * How a supernet mixes in one forward pass: all normal cells alike, all reduction cells alike. Nothing reads `reduce`
 * where the reduction cells are fixed.
 */
export interface Mixture {
  readonly normal: CellMixture;
  readonly reduce: CellMixture;
  /**
   * Probability that an edge's output is dropped for an image, in training; libtorch then computes cells of partial
   * channels.
   */
  readonly dropPath?: number;
  /** Lets libtorch compute every cell: fused ones have no second derivatives. */
  readonly composite?: boolean;
}

/** How a cell without alphas computes one pass: with dropped paths, or by libtorch. */
export type CellPass = Partial<DropPath> & Pick<Mixture, "composite">;

/** A cell without alphas in a supernet: {@link NetworkCell} is one. */
export interface FixedCell extends Module {
  readonly kernels: Kernels;
  readonly fused: boolean;
  forward<Layout extends Images>(s0: Layout, s1: Layout, pass?: CellPass): Layout;
}

/** What stands where the reduction cells would be searched. */
export interface FixedReduction {
  /** States that the cell concatenates. */
  readonly states: number;
  readonly create: (
    place: CellPlace,
    how: Required<Pick<SupernetOptions, "kernels" | "recompute" | "storage">>,
  ) => FixedCell;
}

/** Shape of a supernet. */
export interface SupernetOptions {
  readonly channels: number;
  readonly cells: number;
  readonly nodes: number;
  readonly primitives: readonly Primitive[];
  /** Candidates of each edge; absent: all primitives. */
  readonly candidates?: Candidates | undefined;
  readonly stemMultiplier: number;
  readonly imageChannels: number;
  readonly classes: number;
  /** Network that the cells stand in; absent: that of DARTS. `stemMultiplier` above goes before its own. */
  readonly skeleton?: Skeleton;
  /** Whether pooling candidates have batch norm behind them; absent: yes. */
  readonly poolNorm?: boolean;
  /** Builds an edge; a method with other edges (partial channels, fewer candidates) gives its own. */
  readonly createEdge?: (context: EdgeContext) => EdgeModule;
  /** Reduction cells that are not searched (GDAS-FRC); absent: all cells are searched. */
  readonly fixedReduction?: FixedReduction;
  /** How cells are computed; absent: auto. Fused cells have no second derivatives. */
  readonly kernels?: Kernels;
  /** Whether fused cells keep only their inputs and compute again in backward. An error where cells are not fused. */
  readonly recompute?: boolean;
  /** What fused cells keep for backward in; absent: fp32. bf16 is an error where cells are not fused. */
  readonly storage?: Storage;
}

/** What maps a cell's inputs to its channels; without a layer for what it does not read, or reads as it is. */
export type Preprocessing = readonly [older: Layer | undefined, newer: Layer | undefined];

/** Maps a cell's inputs to its channels; the older one is halved when a reduction cell lies between. */
export function preprocessing(
  { inputs, channels, afterReduction }: CellPlace,
  affine: boolean,
  skeleton: Pick<Skeleton, "inputs" | "preprocess">,
): Preprocessing {
  const newer = () => new ReLUConvBN(inputs[1], channels, affine);
  if (skeleton.inputs === 1) return [undefined, skeleton.preprocess ? newer() : undefined];
  const older = afterReduction
    ? new FactorizedReduce(inputs[0], channels, affine)
    : new ReLUConvBN(inputs[0], channels, affine);
  return [older, newer()];
}

/** The states that a cell begins with: what it reads, preprocessed. */
export function inputStates(
  [older, newer]: Preprocessing,
  [s0, s1]: readonly [Tensor, Tensor],
  inputs: Inputs,
): Tensor[] {
  const read = inputs === 1 ? [] : [older!.forward(s0)];
  return [...read, newer ? newer.forward(s1) : s1];
}

/** A cell of the supernet: every node sums the mixed operations on the edges from all states before it. */
export class SupernetCell extends Module {
  readonly preprocess0: Layer | undefined;
  readonly preprocess1: Layer | undefined;
  readonly _ops: readonly EdgeModule[];
  readonly reduction: boolean;
  readonly nodes: number;
  readonly inputs: Inputs;
  /** States that it puts out. */
  readonly concat: readonly number[];
  readonly kernels: Kernels;
  readonly recompute: boolean;
  readonly storage: Storage;
  readonly #fused: FusedCell | undefined;

  constructor(options: SupernetOptions, place: CellPlace) {
    const { channels, reduction } = place;
    const {
      nodes,
      primitives,
      poolNorm = true,
      skeleton = DARTS_SKELETON,
      createEdge = (context) => new MixedOp(context),
      kernels = "auto",
      recompute = false,
      storage = "fp32",
    } = options;
    const candidates = options.candidates?.[reduction ? "reduce" : "normal"];
    super();
    this.reduction = reduction;
    this.nodes = nodes;
    this.inputs = skeleton.inputs;
    this.concat = outputOf(skeleton, nodes);
    [this.preprocess0, this.preprocess1] = preprocessing(place, false, skeleton);
    this._ops = edgesOf(nodes, skeleton.inputs).map(({ edge, source }) =>
      createEdge({
        channels,
        stride: reduction && source < skeleton.inputs ? 2 : 1,
        primitives,
        poolNorm,
        candidates: candidates?.[edge],
        edge,
        reduction,
      }),
    );
    this.kernels = kernels;
    this.recompute = recompute;
    this.storage = storage;
    const [older, newer] = [this.preprocess0, this.preprocess1];
    // The kernels' cells read two, and bring both to their channels.
    if (kernels === "composite" || !older || !newer) return;
    const { concat } = this;
    const plan = mixedPlan(this._ops, {
      channels,
      preprocess: [older, newer],
      nodes,
      reduction,
      primitives,
      concat,
    });
    if (plan) this.#fused = fuseCell(plan);
  }

  /** Whether the kernels compute this cell, where they take its inputs. */
  get fused(): boolean {
    return this.#fused !== undefined;
  }

  /** [N, C0, H, W], [N, C1, H', W'] → [N, nodes·channels, H'', W''], in the layout of its inputs. */
  forward<Layout extends Images>(
    s0: Layout,
    s1: Layout,
    mixture: CellMixture & Pick<Mixture, "dropPath" | "composite">,
  ): Layout {
    const { operations, edges, active, dropPath = 0, composite = false } = mixture;
    const drops = this.training && dropPath > 0;
    const fused = composite || (drops && !this.#fused?.scalesPaths) ? undefined : this.#fused;
    return forwardCell(s0, s1, {
      kernels: composite ? "composite" : this.kernels,
      recompute: this.recompute && !composite,
      storage: composite ? "fp32" : this.storage,
      fused,
      parts: this.concat.length,
      pass: (images) => ({
        training: this.training,
        recompute: this.recompute,
        storage: this.storage,
        // An edge's weight multiplies all of its candidates, so it can as well multiply their weights, and what passes them by.
        mixture: edges ? operations.mul(edges.reshape([-1, 1])) : operations,
        bypass: edges,
        paths: drops ? pathScales({ paths: this._ops.length, images }, { probability: dropPath }) : undefined,
        active: active && this.#indices(active),
      }),
      composite: (x0, x1) => this.#compose(x0, x1, mixture),
    });
  }

  /** The active candidates by their place on the edge, which is not their column where an edge lacks some. */
  #indices(active: readonly (readonly number[])[]): readonly (readonly number[])[] {
    return active.map((chosen, edge) => {
      const module = this._ops[edge];
      if (!(module instanceof MixedOp)) return chosen;
      const built = module._ops.flatMap((operation, k) => (operation ? [k] : []));
      return built.length === module._ops.length ? chosen : chosen.map((k) => built.indexOf(k));
    });
  }

  #compose(s0: Tensor, s1: Tensor, mixture: CellMixture & Pick<Mixture, "dropPath">): Tensor {
    const { inputs, nodes, concat } = this;
    const states = inputStates([this.preprocess0, this.preprocess1], [s0, s1], inputs);
    for (let node = 0; node < nodes; node++) {
      const first = edgeOffset(node, inputs);
      states.push(states.map((state, j) => this.#edge(first + j, state, mixture)).reduce((a, b) => a.add(b)));
    }
    return joined(states, concat);
  }

  #edge(
    edge: number,
    state: Tensor,
    { operations, edges, active, dropPath: probability = 0 }: CellMixture & Pick<Mixture, "dropPath">,
  ): Tensor {
    const mixed = this._ops[edge].forward(state, operations.select(0, edge), active?.[edge]);
    const value = this.training ? dropPath(mixed, { probability }) : mixed;
    return edges ? value.mul(edges.select(0, edge)) : value;
  }
}

/** A network of mixed cells, from images [N, imageChannels, H, W] to logits [N, classes]. */
export class Supernet extends Module {
  readonly stem: Layer | undefined;
  readonly stem0: Layer | undefined;
  readonly stem1: Layer | undefined;
  readonly cells: readonly (SupernetCell | FixedCell)[];
  /** What some spaces have before the pooling. */
  readonly lastact: Sequential | undefined;
  readonly classifier: Linear;
  readonly options: SupernetOptions;

  constructor(options: SupernetOptions) {
    super();
    this.options = options;
    const { channels, stemMultiplier, imageChannels, classes, nodes, fixedReduction } = options;
    const { kernels = "auto", recompute = false, storage = "fp32", skeleton = DARTS_SKELETON } = options;
    const stem = createStem(skeleton.stem, { imageChannels, channels, multiplier: stemMultiplier });
    this.stem = stem.stem;
    this.stem0 = stem.stem0;
    this.stem1 = stem.stem1;
    const states = outputOf(skeleton, nodes).length;
    const width = { normal: states, reduce: fixedReduction?.states ?? states };
    const afterReduction = skeleton.stem === "imagenet";
    const places = cellPlaces({
      channels,
      cells: options.cells,
      width,
      stem: stem.channels,
      afterReduction,
      skeleton,
    });
    this.cells = places.map((place) => {
      if (!place.reduction) return new SupernetCell(options, place);
      if (skeleton.reduction !== "cell") return new BlockCell(skeleton.reduction, place);
      return (
        fixedReduction?.create(place, { kernels, recompute, storage }) ?? new SupernetCell(options, place)
      );
    });
    const { outputChannels } = places[places.length - 1];
    this.lastact = lastActivation(skeleton, outputChannels);
    this.classifier = new Linear(outputChannels, classes);
  }

  forward(images: Tensor, mixture: Mixture): Tensor {
    return scope(() => {
      // One layout for the whole network; cells that the kernels do not cover convert their own.
      const blocked = !mixture.composite && this.cells.some((cell) => cell.fused);
      const body = this.#body(stemStates(this, images, { blocked }), mixture);
      return this.classifier.forward(averageOf(this.lastact ? this.lastact.forward(toImages(body)) : body));
    });
  }

  #body(
    states: readonly [Images, Images],
    { normal, reduce, dropPath = 0, composite = false }: Mixture,
  ): Images {
    let [s0, s1] = states;
    for (const cell of this.cells) {
      const output =
        cell instanceof SupernetCell
          ? cell.forward(s0, s1, { ...(cell.reduction ? reduce : normal), dropPath, composite })
          : cell.forward(s0, s1, { probability: dropPath, composite });
      [s0, s1] = [s1, output];
    }
    return s1;
  }
}

/** Where a cell stands in its network. */
export interface CellPlace {
  readonly channels: number;
  /** Channels of the cell before the previous one, and of the previous one. */
  readonly inputs: readonly [number, number];
  readonly reduction: boolean;
  /** Whether the previous cell was a reduction cell. */
  readonly afterReduction: boolean;
}

/** A place whose output is known too. */
export interface NetworkPlace extends CellPlace {
  readonly outputChannels: number;
}

/**
 * The places of all cells: channels double at each reduction, a cell puts out `width` times its channels, and a block
 * twice what it reads.
 */
export function cellPlaces({
  channels,
  cells,
  width,
  stem,
  afterReduction = false,
  skeleton = DARTS_SKELETON,
}: {
  channels: number;
  cells: number;
  /** States that a cell concatenates: of the normal and of the reduction cell, or of both. */
  width: number | { readonly normal: number; readonly reduce: number };
  stem: number;
  afterReduction?: boolean;
  skeleton?: Skeleton;
}): NetworkPlace[] {
  const widths = typeof width === "number" ? { normal: width, reduce: width } : width;
  const reductions = skeleton.reductionsAt(cells);
  const places: NetworkPlace[] = [];
  let inputs: readonly [number, number] = [stem, stem];
  let own = channels;
  for (let i = 0; i < cells; i++) {
    const reduction = reductions.includes(i);
    if (reduction) own *= 2;
    const isBlock = reduction && skeleton.reduction !== "cell";
    const outputChannels = isBlock ? 2 * inputs[1] : (reduction ? widths.reduce : widths.normal) * own;
    places.push({
      channels: own,
      inputs,
      reduction,
      afterReduction: places[i - 1]?.reduction ?? afterReduction,
      outputChannels,
    });
    inputs = [inputs[1], outputChannels];
  }
  return places;
}

/** The states that a cell puts out, joined on the channels. */
export function joined(states: readonly Tensor[], concat: readonly number[]): Tensor {
  return concat.length === 1
    ? states[concat[0]]
    : cat(
        concat.map((index) => states[index]),
        1,
      );
}

/** Batch norm and ReLU before the pooling, in spaces that have them. */
export function lastActivation({ head }: Skeleton, channels: number): Sequential | undefined {
  return head === "pool" ? undefined : new Sequential(new BatchNorm2d(channels), new ReLU());
}

/** A cell for the kernels; undefined where an edge is of a class of its own and computes something else. */
export function mixedPlan(
  modules: readonly EdgeModule[],
  {
    primitives,
    concat,
    ...rest
  }: Pick<CellPlan, "channels" | "preprocess" | "nodes" | "reduction"> &
    Partial<Pick<CellPlan, "concat">> & { readonly primitives: readonly Primitive[] },
): CellPlan | undefined {
  const known: readonly unknown[] = [MixedOp, PartialMixedOp, SkipDropoutOp];
  const plain = modules.filter((module): module is MixedOp => known.includes(module.constructor));
  const shares = new Set(plain.map((module) => (module instanceof PartialMixedOp ? module.share : 1)));
  if (plain.length < modules.length || shares.size > 1) return undefined;
  const edges = edgesOf(rest.nodes).map(({ edge, source, target }) => ({
    source,
    target,
    operations: plain[edge]._ops.flatMap((module, k) =>
      module
        ? [
            {
              // A name that the kernels do not know leaves the operation to libtorch.
              primitive: plain[edge].ownOperations.includes(k) ? `own ${primitives[k]}` : primitives[k],
              module,
              weight: edge * primitives.length + k,
            },
          ]
        : [],
    ),
  }));
  return { ...rest, edges, groups: [...shares][0], concat: concat ?? allNodes(rest.nodes) };
}
