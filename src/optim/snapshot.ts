// What a search or a training puts in a checkpoint, and takes from one.
import { generatorState, setGeneratorState } from "../tensor/runtime.ts";
import { fromBytes, type Tensor } from "../tensor/tensor.ts";

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

/** Adds named tensors below `prefix`: a state_dict, alphas, an optimizer's state. */
export function addTensors(
  all: Map<string, Tensor>,
  prefix: string,
  tensors: Iterable<readonly [string, Tensor]>,
): void {
  for (const [name, tensor] of tensors) all.set(prefix + name, tensor);
}

/** Adds the state of libtorch's random generator of `device`. */
export function addGenerator(all: Map<string, Tensor>, device: string): void {
  const state = generatorState(device);
  all.set("generator", fromBytes(state, [state.length], { dtype: "uint8" }));
}

/** Continues libtorch's random generator of `device` from what {@link addGenerator} added. */
export function restoreGenerator(all: ReadonlyMap<string, Tensor>, device: string): void {
  setGeneratorState(all.get("generator")!.toArray() as Uint8Array, device);
}
