// What a search or a training puts in a checkpoint, and takes from one.

import type { Tensor } from "../tensor/tensor.ts";
import type { Optimizer } from "./optimizer.ts";

/** Tensors by name, and the rest as plain JSON. */
export interface Snapshot {
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly state: unknown;
}

/** The entries of `tensors` below `prefix`, by the rest of their names. */
export function part(tensors: ReadonlyMap<string, Tensor>, prefix: string): Map<string, Tensor> {
  const found = new Map<string, Tensor>();
  for (const [name, tensor] of tensors)
    if (name.startsWith(prefix)) found.set(name.slice(prefix.length), tensor);
  return found;
}

/** Adds an optimizer's state tensors to `tensors` below `prefix`. */
export function optimizerTensors(tensors: Map<string, Tensor>, prefix: string, optimizer: Optimizer): void {
  for (const [name, tensor] of optimizer.tensors()) tensors.set(prefix + name, tensor);
}
