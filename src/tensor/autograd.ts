// Gradients: libtorch's autograd, in the functional form (`grad`) that search needs, and accumulated (`backward`).
import { native } from "../native/binding.ts";
import { Tensor } from "./tensor.ts";

/** Runs `fn` without recording a graph; the mode is as before afterwards, also when `fn` throws. */
export function noGrad<T>(fn: () => T): T {
  const before = native().setGradMode(false);
  try {
    return fn();
  } finally {
    native().setGradMode(before);
  }
}

/** Options of {@link grad}. */
export interface GradOptions {
  /** Cotangents of the outputs; ones for scalars when absent. */
  readonly gradOutputs?: readonly Tensor[];
  /** Keep the graph for another pass. */
  readonly retainGraph?: boolean;
  /** Record the backward pass itself, for gradients of gradients. */
  readonly createGraph?: boolean;
}

/** Gradients of the sum of `outputs` in `inputs`; undefined where an input has no part in them. */
export function grad(
  outputs: readonly Tensor[],
  inputs: readonly Tensor[],
  { gradOutputs, createGraph = false, retainGraph = createGraph }: GradOptions = {},
): (Tensor | undefined)[] {
  const slots = (list: readonly Tensor[]) => list.map((item) => item.use("grad"));
  const found = native().grad(
    slots(outputs),
    slots(inputs),
    gradOutputs ? slots(gradOutputs) : null,
    retainGraph,
    createGraph,
  );
  return found.map((slot) => (slot === 0 ? undefined : new Tensor(slot)));
}

/** Adds the gradients of a scalar `output` to the accumulated gradients of the leaves. */
export function backward(output: Tensor, { retainGraph = false, createGraph = false } = {}): void {
  native().backward([output.use("backward")], null, retainGraph, createGraph);
}

/** The gradient that {@link backward} accumulated in a leaf, or undefined. */
export function gradientOf(leaf: Tensor): Tensor | undefined {
  const slot = native().gradientOf(leaf.use("gradientOf"));
  return slot === 0 ? undefined : new Tensor(slot);
}

/** Forgets the accumulated gradient of a leaf. */
export function clearGradient(leaf: Tensor): void {
  native().clearGradient(leaf.use("clearGradient"));
}
