// What methods make of architecture parameters that are one logit for each edge and candidate, for both cells.
import {
  type DiscretizationRule,
  deriveDarts,
  deriveDartsByNode,
  deriveGenotype,
  type GenotypeLogits,
} from "../genotype/discretize.ts";
import { edgeOffset, type Genotype, type Inputs } from "../genotype/genotype.ts";
import type { SoftmaxOver } from "../methods/softmax-option.ts";
import { type Candidates, onCandidates } from "../space/candidates.ts";
import { kindsOf } from "../space/declare-space.ts";
import { DARTS_SPACE } from "../space/spaces.ts";
import type { CellMixture, Mixture } from "../space/supernet.ts";
import { aten } from "../tensor/aten.ts";
import { scope } from "../tensor/scope.ts";
import { cat, Parameter, randn, type Tensor, tensor } from "../tensor/tensor.ts";
import type { AlphaRows, EdgeLogits, MethodContext, Strengths } from "./method.ts";

/** Parameters of the normal and, where the space has one, of the reduction cell. */
export interface CellParameters {
  readonly normal: Parameter;
  readonly reduce?: Parameter | undefined;
}

/** How parameters are drawn: normal numbers. */
export interface Draw {
  readonly mean?: number;
  readonly deviation?: number;
}

/** Alphas, [edges, primitives] each; by default near zero, so that no candidate leads. */
export function createAlphas(context: MethodContext, draw: Draw = {}): CellParameters {
  return forKinds(context, () => createCellAlphas(context, draw));
}

/** Alphas of one cell, as {@link createAlphas} draws them. */
export function createCellAlphas(context: MethodContext, draw: Draw = {}): Parameter {
  return drawParameter([edgesIn(context), context.primitives.length], context, draw);
}

/** Logits of the edges, [edges] each, near zero. */
export function createBetas(context: MethodContext): CellParameters {
  return forKinds(context, () => drawParameter([edgesIn(context)], context));
}

/** Cells that a cell of the context's space reads. */
export function inputsOf({ space = DARTS_SPACE }: Pick<MethodContext, "space">): Inputs {
  return space.skeleton.inputs;
}

function edgesIn(context: MethodContext): number {
  return edgeOffset(context.nodes, inputsOf(context));
}

function forKinds({ space = DARTS_SPACE }: MethodContext, create: () => Parameter): CellParameters {
  const normal = create();
  return kindsOf(space).includes("reduce") ? { normal, reduce: create() } : { normal };
}

/** The genotype that a method's rule derives in the context's space. */
export function deriveIn(
  { primitives, space }: Pick<MethodContext, "primitives" | "space">,
  logits: GenotypeLogits,
  rule?: DiscretizationRule,
): Genotype {
  return deriveGenotype(logits, primitives, rule, space);
}

/** Parameters with the names that checkpoints give them: `alphas_normal`, `alphas_reduce`. */
export function named(kind: string, { normal, reduce }: CellParameters): [string, Parameter][] {
  const both = [
    [`${kind}_normal`, normal] as const,
    ...(reduce ? [[`${kind}_reduce`, reduce] as const] : []),
  ];
  return both.map(([name, parameter]) => [name, parameter]);
}

/** Alphas as numbers; -Infinity where an edge does not have the candidate. */
export function rowsOf({ normal, reduce }: CellParameters, candidates?: Candidates): AlphaRows {
  return {
    normal: onCandidates(normal.toRows(), candidates?.normal),
    reduce: reduce ? onCandidates(reduce.toRows(), candidates?.reduce) : [],
  };
}

/** Alphas with -Infinity where an edge does not have the candidate: no probability there, and no gradient. */
export function logitsOn(
  { normal, reduce }: CellParameters,
  candidates: Candidates | undefined,
): { readonly normal: Tensor; readonly reduce?: Tensor } {
  return {
    normal: masked(normal, candidates?.normal),
    ...(reduce && { reduce: masked(reduce, candidates?.reduce) }),
  };
}

/** {@link logitsOn} of one cell. An edge that is not there keeps its logits: nothing is computed under their weights. */
export function masked(alphas: Tensor, candidates: Candidates["normal"] | undefined): Tensor {
  if (!candidates) return alphas;
  const [edges, operations] = alphas.shape as [number, number];
  const all = Array.from({ length: operations }, (_, k) => k);
  const mask = onCandidates(
    Array.from({ length: edges }, () => Array.from({ length: operations }, () => 0)),
    candidates.map((own) => (own.length > 0 ? own : all)),
  );
  const { dtype, device, shape } = alphas;
  return alphas.add(tensor(mask.flat(), shape, { dtype, device }));
}

/** Logits of the edges as numbers. */
export function logitsOf({ normal, reduce }: CellParameters): EdgeLogits {
  return { normal: normal.toNumbers(), reduce: reduce?.toNumbers() ?? [] };
}

/** How alphas become probabilities: what competes in one softmax, and the candidates where edges lack some. */
export interface Mixing {
  readonly over?: SoftmaxOver;
  /** Cells that a cell reads; absent: two. */
  readonly inputs?: Inputs;
  readonly candidates?: Candidates | undefined;
}

/** The softmax over the candidates of each edge, the mixture of DARTS, or over all pairs of each node (I-DARTS). */
export function softmaxMixture(alphas: CellParameters, mixing?: Mixing): Mixture {
  const { normal, reduce } = softmaxStrengths(alphas, mixing);
  return mixtureOf(normal, reduce);
}

/** The probabilities of {@link softmaxMixture}, of the cells that are searched. */
export function softmaxStrengths(
  alphas: CellParameters,
  { over = "edge", candidates, inputs }: Mixing = {},
): Strengths {
  const { normal, reduce } = logitsOn(alphas, candidates);
  const strong = (logits: Tensor) => ({ operations: probabilities(logits, over, inputs) });
  return { normal: strong(normal), ...(reduce && { reduce: strong(reduce) }) };
}

/** The mixture of both kinds of cells; nothing reads that of the reduction cells where there are none. */
export function mixtureOf(normal: CellMixture, reduce: CellMixture | undefined): Mixture {
  return { normal, reduce: reduce ?? normal };
}

/** Alphas [edges, primitives] to probabilities: each edge's sum to 1, or those of all edges of a node together. */
export function probabilities(alphas: Tensor, over: SoftmaxOver, inputs?: Inputs): Tensor {
  return asRows(alphas, { over, inputs }, (rows) => rows.softmax(1));
}

/** Applies `fn` to what sums to 1, as rows: to all edges at once, or to each node with its edges as one row. */
export function asRows(
  values: Tensor,
  { over, inputs }: { readonly over: SoftmaxOver; readonly inputs?: Inputs | undefined },
  fn: (rows: Tensor) => Tensor,
): Tensor {
  if (over === "edge") return fn(values);
  const [edges, operations] = values.shape as [number, number];
  const byNode: Tensor[] = [];
  for (let node = 0; edgeOffset(node, inputs) < edges; node++) {
    const own = aten.slice.Tensor(values, 0, edgeOffset(node, inputs), edgeOffset(node + 1, inputs));
    byNode.push(fn(own.reshape([1, -1])).reshape([-1, operations]));
  }
  return cat(byNode, 0);
}

/** DARTS' derivation by the probabilities of {@link softmaxMixture}. */
export function dartsRule(over: SoftmaxOver): DiscretizationRule {
  return over === "edge" ? deriveDarts : deriveDartsByNode;
}

/** Logits as parameters begin with; near zero where not said otherwise. */
export function drawLogits(
  shape: readonly number[],
  { device }: Pick<MethodContext, "device">,
  { mean = 0, deviation = 1e-3 }: Draw = {},
): Tensor {
  return scope(() => randn(shape).mul(deviation).add(mean).to({ device }));
}

function drawParameter(shape: readonly number[], context: MethodContext, draw?: Draw): Parameter {
  return scope(() => new Parameter(drawLogits(shape, context, draw)));
}
