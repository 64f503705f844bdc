// When numbers stop being finite: which tensor was the first. Looked for only after a loss or a gradient's norm was
// found bad, and at the end of an epoch, so that a normal step pays nothing for it.
import { UserError } from "../errors.ts";
import { aten } from "../tensor/aten.ts";
import { scope } from "../tensor/scope.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** Tensors with the names that people know them by; undefined ones (no gradient) are passed over. */
export type Named = Iterable<readonly [name: string, tensor: Tensor | undefined]>;

/** Where a search or a training diverged. */
export interface DivergencePlace {
  readonly phase: "search" | "training";
  /** Counted from 0. */
  readonly epoch: number;
  /** Counted from 0; null at the end of an epoch. */
  readonly step: number | null;
  /** What went bad first: "the weight stem.0.weight (3 of 27 numbers)". */
  readonly first: string;
}

/** A loss, a gradient or a weight that is no finite number any more: the work ends here. */
export class Divergence extends UserError {
  readonly place: DivergencePlace;

  constructor(message: string, place: DivergencePlace) {
    super(message);
    this.place = place;
  }
}

/** The first tensor with a number that is not finite, and how many there are; undefined when all are finite. */
export function firstNotFinite(tensors: Named): string | undefined {
  for (const [name, tensor] of tensors) {
    const bad = tensor ? countNotFinite(tensor) : 0;
    if (bad > 0) return `${name} (${bad} of ${tensor!.numel} numbers)`;
  }
  return undefined;
}

/** How many numbers of a tensor are NaN or infinite. */
export function countNotFinite(tensor: Tensor): number {
  return scope(() => tensor.numel - aten.isfinite.default(tensor).sum().item());
}

/** `tensors` with `kind` before their names: "the weight stem.0.weight". */
export function* labelled(kind: string, tensors: Named): Generator<readonly [string, Tensor | undefined]> {
  for (const [name, tensor] of tensors) yield [`${kind} ${name}`, tensor];
}

/** The name among `named` of a parameter whose gradient went bad: "the gradient of stem.0.weight". */
export function gradientName(named: Named, parameter: Tensor | undefined): string {
  for (const [name, tensor] of named) if (parameter && tensor === parameter) return `the gradient of ${name}`;
  return "the loss itself, or the norm of all gradients together, with every tensor finite";
}
