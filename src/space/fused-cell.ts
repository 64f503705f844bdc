// The body of a cell on the fused kernels (native/kernels): forward and backward of all edges together. The modules stay
// those of the composite cell, so parameters, buffers and their names do too; the two ways to compute a cell are each
// other's oracle.
import { UserError } from "../errors.ts";
import { aten, operator } from "../tensor/aten.ts";
import { scope } from "../tensor/scope.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { type CellPlan, findNorm, type Placed, type Segment, segmentsOf } from "./cell-plan.ts";

/** Fused CPU kernels where they fit, always (an error where they do not), or libtorch's operators one by one. */
export type Kernels = "auto" | "fused" | "composite";

/** How a cell's operations count in one forward pass. */
export interface FusedPass {
  /** Batch statistics, or the running ones. */
  readonly training: boolean;
  /** Weights that the plan's operations refer to by their index, any shape. */
  readonly mixture?: Tensor;
  /** For each edge its operations to evaluate; absent: all. */
  readonly active?: readonly (readonly number[])[];
  /** Scale of each edge's outputs for each image, [edges, N], except skip connections; absent: 1. */
  readonly paths?: Tensor;
}

/** A cell's body on the fused kernels. Holds the operations' live parameters and buffers, and owns none. */
export class FusedCell {
  readonly #plan: CellPlan;
  readonly #segments: readonly Segment[];
  readonly #momentum: number;
  readonly #eps: number;

  constructor(plan: CellPlan, segments: readonly Segment[]) {
    this.#plan = plan;
    this.#segments = segments;
    const norm = segments
      .flatMap(({ covered }) => covered)
      .map(({ module }) => findNorm(module))
      .find((found) => found !== undefined);
    this.#momentum = norm?.momentum ?? 0.1;
    this.#eps = norm?.eps ?? 1e-5;
  }

  /** Preprocessed inputs, [N, C, H, W] each, float32 on the CPU → the states of `concat`, [N, states·C, H', W']. */
  forward(s0: Tensor, s1: Tensor, pass: FusedPass): Tensor {
    return scope(() => {
      const states = [s0, s1];
      let output = s1;
      for (const segment of this.#segments) {
        output = this.#run(segment, states, pass);
        if (segment === this.#segments.at(-1)) break;
        const channels = s0.shape[1];
        for (const [i, state] of segment.states.slice(segment.given).entries())
          states[state] = aten.narrow.default(output, 1, i * channels, channels);
      }
      return output;
    });
  }

  #run(segment: Segment, states: readonly Tensor[], pass: FusedPass): Tensor {
    const { covered, edges } = segment;
    const given = segment.states
      .map((state, number) => this.#given(segment, { state, number }, states, pass))
      .filter((start) => start !== undefined);
    const { active, mixture, paths } = pass;
    const whole = edges.length === this.#plan.edges.length;
    return operator("darts::cell")(
      states[0],
      states[1],
      mixture ?? null,
      paths ? (whole ? paths : cutRows(paths, edges)) : null,
      given.map(({ tensor }) => tensor),
      given.map(({ number }) => number),
      segment.weights,
      segment.statistics,
      segment.states.length - 2,
      this.#plan.reduction,
      segment.edgeNumbers,
      segment.operationNumbers,
      active ? covered.map((operation) => (isActive(operation, pass) ? 1 : 0)) : [],
      segment.concat,
      pass.training,
      this.#momentum,
      this.#eps,
    ) as Tensor;
  }

  /** What a node of the segment starts from, if it does not start from zero. */
  #given(
    { given, apart }: Segment,
    { state, number }: { state: number; number: number },
    states: readonly Tensor[],
    pass: FusedPass,
  ): { number: number; tensor: Tensor } | undefined {
    if (number < 2) return undefined;
    if (number < given) return { number, tensor: states[state] };
    const terms = apart
      .filter((operation) => this.#plan.edges[operation.edge].target === state && isActive(operation, pass))
      .map((operation) => this.#apart(operation, states, pass));
    return terms.length > 0 ? { number, tensor: terms.reduce((a, b) => a.add(b)) } : undefined;
  }

  /** An operation that the kernels do not have. */
  #apart({ module, edge, weight }: Placed, states: readonly Tensor[], { mixture, paths }: FusedPass): Tensor {
    const value = module.forward(states[this.#plan.edges[edge].source]);
    const weighted =
      weight === undefined || !mixture ? value : value.mul(mixture.reshape([-1]).select(0, weight));
    return paths ? weighted.mul(paths.select(0, edge).reshape([-1, 1, 1, 1])) : weighted;
  }
}

/** The fused form of a cell's body, or undefined where the kernels have nothing to do or no room. */
export function fuseCell(plan: CellPlan): FusedCell | undefined {
  const segments = segmentsOf(plan);
  return segments && new FusedCell(plan, segments);
}

/** Whether the kernels can take these inputs; else the composite cell must. */
export function fusable(s0: Tensor, s1: Tensor): boolean {
  return [s0, s1].every((state) => state.device === "cpu" && state.dtype === "float32");
}

/** What to say when `kernels` is fused and a cell cannot be. */
export function notFusable({ device, dtype }: Tensor): UserError {
  return new UserError(
    `kernels is fused, but the fused kernels do not cover these cells (on ${device}, ${dtype}): they take cells of ` +
      "at most ten nodes with operations of DARTS, on the CPU in float32. Set kernels to auto or composite.",
  );
}

/** Gives back the memory that the kernels keep between steps: when a search is over, training needs it. */
export function releaseKernelMemory(): void {
  operator("darts::release_memory")();
}

function isActive({ edge, index }: Placed, { active }: FusedPass): boolean {
  return active?.[edge].includes(index) ?? true;
}

function cutRows(matrix: Tensor, rows: readonly number[]): Tensor {
  return aten.stack.default(
    rows.map((row) => matrix.select(0, row)),
    0,
  );
}
