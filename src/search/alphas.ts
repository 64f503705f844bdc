// What methods make of architecture parameters that are one logit for each edge and candidate, for both cells.
import { edgeOffset } from "../genotype/genotype.ts";
import type { CellMixture, Mixture } from "../space/supernet.ts";
import { scope } from "../tensor/scope.ts";
import { Parameter, randn } from "../tensor/tensor.ts";
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

/** Alphas as numbers. */
export function rowsOf({ normal, reduce }: CellParameters): AlphaRows {
  return { normal: normal.toRows(), reduce: reduce.toRows() };
}

/** Logits of the edges as numbers. */
export function logitsOf({ normal, reduce }: CellParameters): EdgeLogits {
  return { normal: normal.toNumbers(), reduce: reduce.toNumbers() };
}

/** The softmax over the candidates of each edge: the mixture of DARTS. */
export function softmaxMixture({ normal, reduce }: CellParameters): Mixture {
  const mix = (alphas: Parameter): CellMixture => ({ operations: alphas.softmax(1) });
  return { normal: mix(normal), reduce: mix(reduce) };
}

function drawParameter(
  shape: readonly number[],
  { device }: MethodContext,
  { mean = 0, deviation = 1e-3 }: Draw = {},
): Parameter {
  return scope(() => new Parameter(randn(shape).mul(deviation).add(mean).to({ device })));
}
