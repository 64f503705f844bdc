// A cell on the fused kernels (native/kernels): forward and backward of its preprocessing and all edges together. The
// modules stay those of the composite cell, so parameters, buffers and their names do too; the two ways to compute a cell
// are each other's oracle.
import { UserError } from "../errors.ts";
import type { Layer } from "../nn/module.ts";
import { aten, operator } from "../tensor/aten.ts";
import { scope } from "../tensor/scope.ts";
import { ones, type Tensor } from "../tensor/tensor.ts";
import { BlockedImages, type Images, toBlocked, toImages } from "./blocked.ts";
import {
  type CellCover,
  type CellPlan,
  callArguments,
  coverCell,
  findNorm,
  type Placed,
  type Segment,
} from "./cell-plan.ts";

/** Fused CPU kernels where they fit, always (an error where they do not), or libtorch's operators one by one. */
export type Kernels = "auto" | "fused" | "composite";

/** What fused cells keep for backward in: float32, or rounded to bfloat16. They compute in float32 all the same. */
export type Storage = "fp32" | "bf16";

/** How a cell's operations count in one forward pass. */
export interface FusedPass {
  /** Batch statistics, or the running ones. */
  readonly training: boolean;
  /** Whether nothing but the inputs is kept for backward, which then computes again what it needs; absent: no. */
  readonly recompute?: boolean;
  /** What is kept for backward; absent: fp32. */
  readonly storage?: Storage;
  /** Weights that the plan's operations refer to by their index, any shape. */
  readonly mixture?: Tensor;
  /** Weight of each edge for the channels that pass its operations by, [edges], where a plan has groups; absent: 1. */
  readonly bypass?: Tensor;
  /** For each edge its operations to evaluate; absent: all. */
  readonly active?: readonly (readonly number[])[];
  /** Scale of each edge's output for each image, [edges, N], where a plan has no groups; absent: 1. */
  readonly paths?: Tensor;
}

/** What a cell puts out, and its second input as whoever reads it later gets it; absent: as it was. */
interface Passed {
  readonly output: BlockedImages;
  readonly passed: Tensor | undefined;
}

/** A cell on the fused kernels. Holds the layers' live parameters and buffers, and owns none. */
export class FusedCell {
  readonly #plan: CellPlan;
  readonly #segments: readonly Segment[];
  readonly #before: readonly [Layer, Layer] | undefined;
  readonly #momentum: number;
  readonly #eps: number;

  constructor(plan: CellPlan, { segments, before }: CellCover) {
    this.#plan = plan;
    this.#segments = segments;
    this.#before = before;
    const operations = segments.flatMap(({ covered }) => covered.map(({ module }) => module));
    const norm = [...operations, ...(plan.preprocess ?? [])]
      .map(findNorm)
      .find((found) => found !== undefined);
    this.#momentum = norm?.momentum ?? 0.1;
    this.#eps = norm?.eps ?? 1e-5;
  }

  /** Whether a pass may have `paths`. */
  get scalesPaths(): boolean {
    return (this.#plan.groups ?? 1) === 1;
  }

  /**
   * The cell's inputs, float32 on the CPU → the states of `concat`, as the parts of one. From then on `s1` is what comes
   * out beside them: who reads it later sends its gradient through this cell, whose kernels add theirs.
   */
  forward(s0: BlockedImages, s1: BlockedImages, pass: FusedPass): BlockedImages {
    const { output, passed } = this.#forward(s0, s1, pass);
    if (passed) s1.blocks = passed;
    return output;
  }

  #forward(s0: BlockedImages, s1: BlockedImages, pass: FusedPass): Passed {
    return scope(() => {
      const states = [s0, s1].map((input, i) =>
        this.#before ? BlockedImages.from(this.#before[i].forward(input.toImages())) : input,
      );
      for (const segment of this.#segments.slice(0, -1)) {
        const { output } = this.#run(segment, states, pass);
        for (const [i, state] of segment.states.slice(segment.given).entries())
          states[state] = output.part(i);
      }
      const { output, passed } = this.#run(this.#segments.at(-1)!, states, pass);
      return { output, passed: states[1] === s1 ? passed : undefined };
    });
  }

  #run(segment: Segment, states: readonly BlockedImages[], pass: FusedPass): Passed {
    const { edges, inputs, covered } = segment;
    const { channels, groups = 1, reduction } = this.#plan;
    const { mixture, bypass, paths } = pass;
    // What is not evaluated is not told of: of a sampled cell's many tensors that leaves few.
    const { numbers, weights, statistics } = pass.active
      ? callArguments(
          inputs,
          covered.filter((operation) => isActive(operation, pass)),
        )
      : segment.all;
    const given = segment.states
      .map((state, number) => this.#given(segment, { state, number }, states, pass))
      .filter((start) => start !== undefined);
    const whole = edges.length === this.#plan.edges.length;
    const [blocks, passed] = operator("darts::cell")(
      states[0].blocks,
      states[1].blocks,
      mixture ?? null,
      groups > 1 ? (bypass ?? ones([edges.length])) : null,
      paths ? (whole ? paths : cutRows(paths, edges)) : null,
      given.map(({ images }) => images.blocks),
      given.map(({ number }) => number),
      weights,
      statistics,
      channels,
      groups,
      segment.states.length - 2,
      reduction,
      inputs.flatMap(({ numbers }, i) => [states[i].channels, ...numbers]),
      segment.edgeNumbers,
      numbers,
      segment.concat,
      pass.training,
      this.#momentum,
      this.#eps,
      pass.recompute ?? false,
      pass.storage === "bf16",
    ) as [Tensor, Tensor | undefined];
    return { output: new BlockedImages(blocks, channels), passed };
  }

  /** What a node of the segment starts from, if it does not start from zero. */
  #given(
    { given, apart }: Segment,
    { state, number }: { state: number; number: number },
    states: readonly BlockedImages[],
    pass: FusedPass,
  ): { number: number; images: BlockedImages } | undefined {
    if (number < 2) return undefined;
    if (number < given) return { number, images: states[state] };
    const terms = apart
      .filter((operation) => this.#plan.edges[operation.edge].target === state && isActive(operation, pass))
      .map((operation) => this.#apart(operation, states, pass));
    return terms.length > 0
      ? { number, images: BlockedImages.from(terms.reduce((a, b) => a.add(b))) }
      : undefined;
  }

  /** An operation that the kernels do not have. */
  #apart({ module, edge, weight }: Placed, states: readonly BlockedImages[], pass: FusedPass): Tensor {
    const { mixture, paths } = pass;
    const value = module.forward(states[this.#plan.edges[edge].source].toImages());
    const weighted =
      weight === undefined || !mixture ? value : value.mul(mixture.reshape([-1]).select(0, weight));
    return paths ? weighted.mul(paths.select(0, edge).reshape([-1, 1, 1, 1])) : weighted;
  }
}

/** The fused form of a cell, or undefined where the kernels have nothing to do or no room. */
export function fuseCell(plan: CellPlan): FusedCell | undefined {
  const cover = coverCell(plan);
  return cover && new FusedCell(plan, cover);
}

/** Whether the kernels can take these images; else the composite cell must. */
export function fusable(images: Images): boolean {
  return images instanceof BlockedImages || (images.device === "cpu" && images.dtype === "float32");
}

/** The two ways to compute a cell. */
export interface CellPaths {
  readonly kernels: Kernels;
  readonly recompute: boolean;
  readonly storage: Storage;
  readonly fused: FusedCell | undefined;
  /** What the fused cell is told, for a batch of so many images. */
  readonly pass: (images: number) => FusedPass;
  /** Inputs as tensors of libtorch → output of so many parts. */
  readonly composite: (s0: Tensor, s1: Tensor) => Tensor;
  readonly parts: number;
}

/** A cell's output from its inputs, fused where the kernels take it, in the layout of its inputs. */
export function forwardCell<Layout extends Images>(
  s0: Layout,
  s1: Layout,
  { kernels, recompute, storage, fused, pass, composite, parts }: CellPaths,
): Layout {
  const compute = (): Images => {
    if (fused && fusable(s0) && fusable(s1)) {
      const first = toBlocked(s0);
      const output = fused.forward(first, s1 === s0 ? first : toBlocked(s1), pass(first.count));
      return s1 instanceof BlockedImages ? output : output.toImages();
    }
    const [x0, x1] = [s0, s1].map(toImages);
    if (kernels === "fused") throw notFusable(x0);
    if (recompute) throw notRecomputable(x0);
    if (storage === "bf16") throw notStorable(x0);
    const output = composite(x0, x1);
    return s1 instanceof BlockedImages ? BlockedImages.from(output, parts) : output;
  };
  // With the output what is left to read of s1 leaves the scope.
  const [output] = scope(() => [compute(), s1]);
  // TypeScript does not follow that one layout in means the same one out.
  return output as Layout;
}

function notFusable({ device, dtype }: Tensor): UserError {
  return new UserError(
    `kernels is fused, but the fused kernels do not cover these cells (on ${device}, ${dtype}): they take cells of ` +
      "two inputs and at most ten nodes with operations of DARTS, on the CPU in float32. Set kernels to auto or composite.",
  );
}

function notRecomputable({ device, dtype }: Tensor): UserError {
  return new UserError(
    `recompute is true, but libtorch's operators compute these cells (on ${device}, ${dtype}), and only fused cells can ` +
      "be computed again. Set recompute to false, or kernels to auto and device to cpu where a cell's operations allow it.",
  );
}

function notStorable({ device, dtype }: Tensor): UserError {
  return new UserError(
    `storage is bf16, but libtorch's operators compute these cells (on ${device}, ${dtype}), and only fused cells keep their ` +
      "tensors in bfloat16. Set storage to fp32, or kernels to auto and device to cpu where a cell's operations allow it.",
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
