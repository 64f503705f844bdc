// What methods make of architecture parameters that are one logit for each edge and candidate, for both cells.
import { edgeOffset } from "../genotype/genotype.ts";
import { type Candidates, onCandidates } from "../space/candidates.ts";
import type { CellMixture, Mixture } from "../space/supernet.ts";
import { scope } from "../tensor/scope.ts";
import { Parameter, randn, type Tensor, tensor } from "../tensor/tensor.ts";
import type { AlphaRows, EdgeLogits, MethodContext } from "./method.ts";

/** Parameters of the normal and of the reduction cell. */
export interface CellParameters {
  readonly normal: Parameter;
  readonly reduce: Parameter;
}

/** How parameters are drawn: normal numbers. */
export interface Draw {
  readonly mean?: number;
  readonly deviation?: number;
}

/** Alphas, [edges, primitives] each; by default near zero, so that no candidate leads. */
export function createAlphas(context: MethodContext, draw: Draw = {}): CellParameters {
  const shape = [edgeOffset(context.nodes), context.primitives.length];
  return { normal: drawParameter(shape, context, draw), reduce: drawParameter(shape, context, draw) };
}

/** Logits of the edges, [edges] each, near zero. */
export function createBetas(context: MethodContext): CellParameters {
  const shape = [edgeOffset(context.nodes)];
  return { normal: drawParameter(shape, context), reduce: drawParameter(shape, context) };
}

/** Parameters with the names that checkpoints give them: `alphas_normal`, `alphas_reduce`. */
export function named(kind: string, { normal, reduce }: CellParameters): [string, Parameter][] {
  return [
    [`${kind}_normal`, normal],
    [`${kind}_reduce`, reduce],
  ];
}

/** Alphas as numbers; -Infinity where an edge does not have the candidate. */
export function rowsOf({ normal, reduce }: CellParameters, candidates?: Candidates): AlphaRows {
  return {
    normal: onCandidates(normal.toRows(), candidates?.normal),
    reduce: onCandidates(reduce.toRows(), candidates?.reduce),
  };
}

/** Alphas with -Infinity where an edge does not have the candidate: no probability there, and no gradient. */
export function logitsOn(
  { normal, reduce }: CellParameters,
  candidates: Candidates | undefined,
): { readonly normal: Tensor; readonly reduce: Tensor } {
  return {
    normal: masked(normal, candidates?.normal),
    reduce: masked(reduce, candidates?.reduce),
  };
}

function masked(alphas: Tensor, candidates: Candidates["normal"] | undefined): Tensor {
  if (!candidates) return alphas;
  const [edges, operations] = alphas.shape as [number, number];
  const mask = onCandidates(
    Array.from({ length: edges }, () => Array.from({ length: operations }, () => 0)),
    candidates,
  );
  const { dtype, device, shape } = alphas;
  return alphas.add(tensor(mask.flat(), shape, { dtype, device }));
}

/** Logits of the edges as numbers. */
export function logitsOf({ normal, reduce }: CellParameters): EdgeLogits {
  return { normal: normal.toNumbers(), reduce: reduce.toNumbers() };
}

/** The softmax over the candidates of each edge: the mixture of DARTS. */
export function softmaxMixture(alphas: CellParameters, candidates?: Candidates): Mixture {
  const { normal, reduce } = logitsOn(alphas, candidates);
  const mix = (logits: Tensor): CellMixture => ({ operations: logits.softmax(1) });
  return { normal: mix(normal), reduce: mix(reduce) };
}

function drawParameter(
  shape: readonly number[],
  { device }: MethodContext,
  { mean = 0, deviation = 1e-3 }: Draw = {},
): Parameter {
  return scope(() => new Parameter(randn(shape).mul(deviation).add(mean).to({ device })));
}
