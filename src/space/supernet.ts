// The supernet (DARTS, sections 2.1 and 2.2): cells whose edges mix all candidate operations.
// The alphas are not in here: a search method makes the mixture's weights from them before each pass.
import { allNodes, edgeOffset, isReduction } from "../genotype/genotype.ts";
import { BatchNorm2d, Conv2d, Linear } from "../nn/layers.ts";
import { type Layer, Module, Sequential } from "../nn/module.ts";
import { scope } from "../tensor/scope.ts";
import { cat, type Tensor } from "../tensor/tensor.ts";
import { averageOf, type Images, toBlocked } from "./blocked.ts";
import type { Candidates } from "./candidates.ts";
import type { CellPlan } from "./cell-plan.ts";
import { type DropPath, dropPath } from "./drop-path.ts";
import { type FusedCell, forwardCell, fusable, fuseCell, type Kernels } from "./fused-cell.ts";
import { type EdgeContext, type EdgeModule, MixedOp } from "./mixed-op.ts";
import { FactorizedReduce, ReLUConvBN } from "./operations.ts";
import { PartialMixedOp } from "./partial-channels.ts";
import type { Primitive } from "./primitives.ts";
import { SkipDropoutOp } from "./skip-dropout.ts";

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
  /** Probability that an edge's output is dropped for an image, in training; such cells are computed by libtorch. */
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
    how: Required<Pick<SupernetOptions, "kernels" | "recompute">>,
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
  /** Builds an edge; a method with other edges (partial channels, fewer candidates) gives its own. */
  readonly createEdge?: (context: EdgeContext) => EdgeModule;
  /** Reduction cells that are not searched (GDAS-FRC); absent: all cells are searched. */
  readonly fixedReduction?: FixedReduction;
  /** How cells are computed; absent: auto. Fused cells have no second derivatives. */
  readonly kernels?: Kernels;
  /** Whether fused cells keep only their inputs and compute again in backward. An error where cells are not fused. */
  readonly recompute?: boolean;
}

/** Maps a cell's two inputs to its channels; the older one is halved when a reduction cell lies between. */
export function preprocessing(
  inputs: readonly [number, number],
  channels: number,
  { afterReduction, affine }: { afterReduction: boolean; affine: boolean },
): [Layer, Layer] {
  const older = afterReduction
    ? new FactorizedReduce(inputs[0], channels, affine)
    : new ReLUConvBN(inputs[0], channels, affine);
  return [older, new ReLUConvBN(inputs[1], channels, affine)];
}

/** A cell of the supernet: every node sums the mixed operations on the edges from all states before it. */
export class SupernetCell extends Module {
  readonly preprocess0: Layer;
  readonly preprocess1: Layer;
  readonly _ops: readonly EdgeModule[];
  readonly reduction: boolean;
  readonly nodes: number;
  readonly kernels: Kernels;
  readonly recompute: boolean;
  readonly #fused: FusedCell | undefined;

  constructor(options: SupernetOptions, { channels, inputs, reduction, afterReduction }: CellPlace) {
    const {
      nodes,
      primitives,
      createEdge = (context) => new MixedOp(context),
      kernels = "auto",
      recompute = false,
    } = options;
    const candidates = options.candidates?.[reduction ? "reduce" : "normal"];
    super();
    this.reduction = reduction;
    this.nodes = nodes;
    [this.preprocess0, this.preprocess1] = preprocessing(inputs, channels, { afterReduction, affine: false });
    this._ops = edgesOf(nodes).map(({ edge, source }) =>
      createEdge({
        channels,
        stride: reduction && source < 2 ? 2 : 1,
        primitives,
        candidates: candidates?.[edge],
        edge,
        reduction,
      }),
    );
    this.kernels = kernels;
    this.recompute = recompute;
    if (kernels === "composite") return;
    const preprocess = [this.preprocess0, this.preprocess1] as const;
    const plan = mixedPlan(this._ops, { channels, preprocess, nodes, reduction, primitives });
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
    const fused = composite || (this.training && dropPath > 0) ? undefined : this.#fused;
    return forwardCell(s0, s1, {
      kernels: composite ? "composite" : this.kernels,
      recompute: this.recompute && !composite,
      fused,
      parts: this.nodes,
      pass: () => ({
        training: this.training,
        recompute: this.recompute,
        // An edge's weight multiplies all of its candidates, so it can as well multiply their weights, and what passes them by.
        mixture: edges ? operations.mul(edges.reshape([-1, 1])) : operations,
        bypass: edges,
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
    const states = [this.preprocess0.forward(s0), this.preprocess1.forward(s1)];
    for (let node = 0; node < this.nodes; node++) {
      const first = edgeOffset(node);
      states.push(states.map((state, j) => this.#edge(first + j, state, mixture)).reduce((a, b) => a.add(b)));
    }
    return cat(states.slice(2), 1);
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
  readonly stem: Sequential;
  readonly cells: readonly (SupernetCell | FixedCell)[];
  readonly classifier: Linear;
  readonly options: SupernetOptions;

  constructor(options: SupernetOptions) {
    super();
    this.options = options;
    const {
      channels,
      stemMultiplier,
      imageChannels,
      classes,
      nodes,
      fixedReduction,
      kernels = "auto",
      recompute = false,
    } = options;
    const stemChannels = stemMultiplier * channels;
    this.stem = new Sequential(
      new Conv2d(imageChannels, stemChannels, 3, { padding: 1 }),
      new BatchNorm2d(stemChannels),
    );
    const width = { normal: nodes, reduce: fixedReduction?.states ?? nodes };
    const places = cellPlaces({ channels, cells: options.cells, width, stem: stemChannels });
    this.cells = places.map((place) =>
      fixedReduction && place.reduction
        ? fixedReduction.create(place, { kernels, recompute })
        : new SupernetCell(options, place),
    );
    const last = places[places.length - 1];
    this.classifier = new Linear((last.reduction ? width.reduce : width.normal) * last.channels, classes);
  }

  forward(images: Tensor, mixture: Mixture): Tensor {
    return scope(() => {
      const stem = this.stem.forward(images);
      // One conversion for the whole network; cells that the kernels do not cover convert their own.
      const libtorch = mixture.composite || (this.training && (mixture.dropPath ?? 0) > 0);
      const blocked = !libtorch && fusable(stem) && this.cells.some((cell) => cell.fused);
      return this.classifier.forward(averageOf(this.#body(blocked ? toBlocked(stem) : stem, mixture)));
    });
  }

  #body(stem: Images, { normal, reduce, dropPath = 0, composite = false }: Mixture): Images {
    let [s0, s1] = [stem, stem];
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

/** The places of all cells: channels double at each reduction, a cell puts out `width` times its channels. */
export function cellPlaces({
  channels,
  cells,
  width,
  stem,
  afterReduction = false,
}: {
  channels: number;
  cells: number;
  /** States that a cell concatenates: of the normal and of the reduction cell, or of both. */
  width: number | { readonly normal: number; readonly reduce: number };
  stem: number;
  afterReduction?: boolean;
}): CellPlace[] {
  const widths = typeof width === "number" ? { normal: width, reduce: width } : width;
  const places: CellPlace[] = [];
  let inputs: readonly [number, number] = [stem, stem];
  let own = channels;
  for (let i = 0; i < cells; i++) {
    const reduction = isReduction(i, cells);
    if (reduction) own *= 2;
    places.push({
      channels: own,
      inputs,
      reduction,
      afterReduction: places[i - 1]?.reduction ?? afterReduction,
    });
    inputs = [inputs[1], (reduction ? widths.reduce : widths.normal) * own];
  }
  return places;
}

/** The edges of a cell in their published order, each with the state it starts from. */
export function edgesOf(nodes: number): { edge: number; source: number; target: number }[] {
  const edges: { edge: number; source: number; target: number }[] = [];
  for (let node = 0; node < nodes; node++) {
    for (let source = 0; source < node + 2; source++)
      edges.push({ edge: edges.length, source, target: node + 2 });
  }
  return edges;
}

/** A cell for the kernels; undefined where an edge is of a class of its own and computes something else. */
export function mixedPlan(
  modules: readonly EdgeModule[],
  {
    primitives,
    ...rest
  }: Pick<CellPlan, "channels" | "preprocess" | "nodes" | "reduction"> & {
    readonly primitives: readonly Primitive[];
  },
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
  return { ...rest, edges, groups: [...shares][0], concat: allNodes(rest.nodes) };
}
