// The body of a supernet cell as one fused operator (native/kernels): forward and backward of all edges together.
// The modules stay those of the composite cell, so parameters, buffers and their names do too; the two ways to
// compute a cell are each other's oracle.
import { BatchNorm2d } from "../nn/layers.ts";
import { operator } from "../tensor/aten.ts";
import { scope } from "../tensor/scope.ts";
import { ones, type Tensor } from "../tensor/tensor.ts";
import { MixedOp } from "./mixed-op.ts";
import { PartialMixedOp } from "./partial-channels.ts";
import { DARTS_PRIMITIVES, type Primitive } from "./primitives.ts";
import type { CellMixture } from "./supernet.ts";

/** What the fused operator computes: a cell's edges, node by node, and how they are laid out. */
export interface FusedCellOptions {
  readonly edges: readonly MixedOp[];
  readonly nodes: number;
  readonly reduction: boolean;
  readonly primitives: readonly Primitive[];
}

/** A cell's body on the fused kernels. Holds the edges' live parameters and buffers, and owns none. */
export class FusedCell {
  readonly #options: FusedCellOptions;
  readonly #weights: readonly Tensor[];
  readonly #statistics: readonly Tensor[];
  readonly #operations: readonly number[];
  readonly #momentum: number;
  readonly #eps: number;
  /** K of partial channels; 1 where the operations see all. */
  readonly #share: number;

  constructor(options: FusedCellOptions) {
    this.#options = options;
    this.#weights = options.edges.flatMap((edge) => edge.parameters());
    this.#statistics = options.edges.flatMap((edge) => edge.buffers());
    this.#operations = options.primitives.map((primitive) =>
      (DARTS_PRIMITIVES as readonly string[]).indexOf(primitive),
    );
    const norm = findNorm(options.edges);
    this.#momentum = norm?.momentum ?? 0.1;
    this.#eps = norm?.eps ?? 1e-5;
    this.#share = shareOf(options.edges[0]);
  }

  /** Preprocessed inputs, [N, C, H, W] each, float32 on the CPU → the nodes' states, [N, nodes·C, H', W']. */
  forward(s0: Tensor, s1: Tensor, { operations, edges, active }: CellMixture): Tensor {
    const { nodes, reduction, edges: modules, primitives } = this.#options;
    return scope(() => {
      // An edge's weight multiplies all of its candidates: it can as well multiply their weights, and what passes them by.
      const mixture = edges ? operations.mul(edges.reshape([-1, 1])) : operations;
      const bypass = this.#share > 1 ? (edges ?? ones([modules.length])) : null;
      const flags = active?.flatMap((chosen) => primitives.map((_, k) => (chosen.includes(k) ? 1 : 0))) ?? [];
      return operator("darts::cell")(
        s0,
        s1,
        mixture,
        this.#weights,
        this.#statistics,
        nodes,
        reduction,
        this.#operations,
        flags,
        modules[0].training,
        this.#momentum,
        this.#eps,
        this.#share,
        bypass,
      ) as Tensor;
    });
  }
}

/** The fused form of a cell's body, or undefined where the kernels do not cover its edges. */
export function fuseCell(
  edges: readonly unknown[],
  options: Omit<FusedCellOptions, "edges">,
): FusedCell | undefined {
  const known = options.primitives.every((name) => (DARTS_PRIMITIVES as readonly string[]).includes(name));
  const covered =
    known && options.nodes <= MAX_NODES && new Set(options.primitives).size === options.primitives.length;
  // Exactly these classes: an edge of a class of its own computes something else.
  const plain = edges.filter(
    (edge): edge is MixedOp =>
      edge instanceof MixedOp && (edge.constructor === MixedOp || edge.constructor === PartialMixedOp),
  );
  const alike = plain.length === edges.length && new Set(plain.map(shareOf)).size === 1;
  return covered && alike ? new FusedCell({ ...options, edges: plain }) : undefined;
}

function shareOf(edge: MixedOp): number {
  return edge instanceof PartialMixedOp ? edge.share : 1;
}

/** Whether the kernels can take these inputs; else the composite cell must. */
export function fusable(s0: Tensor, s1: Tensor): boolean {
  return [s0, s1].every((state) => state.device === "cpu" && state.dtype === "float32");
}

/** Gives back the memory that the kernels keep between steps: when a search is over, training needs it. */
export function releaseKernelMemory(): void {
  operator("darts::release_memory")();
}

/** The kernels' fixed size: see kMaxNodes in native/kernels/cell.h. */
const MAX_NODES = 10;

function findNorm(edges: readonly MixedOp[]): BatchNorm2d | undefined {
  for (const edge of edges)
    for (const module of edge.modules()) if (module instanceof BatchNorm2d) return module;
  return undefined;
}
