// What libtorch keeps for the whole process: threads, devices, its random generators, the count of live tensors.
import { availableParallelism } from "node:os";
import { UserError } from "../errors.ts";
import { native } from "../native/binding.ts";
import { fromBytes, Tensor } from "./tensor.ts";

/**
 * Sets the threads to compute on; 0 stands for one for each core. Returns how many are used. With `deterministic`,
 * libtorch's operators, whose last bits depend on their number, keep to one: the fused cells use all, and the bytes of
 * every result are the same for any `count`.
 */
export function setThreads(count: number, { deterministic = false } = {}): number {
  const threads = count === 0 ? availableParallelism() : count;
  native().setThreads(deterministic ? 1 : threads, threads);
  return deterministic ? threads : native().threads();
}

/** The devices that this libtorch can compute on: "cpu", "cuda:0", … */
export function devices(): string[] {
  return native().devices();
}

/** Checks a device's name; returns it. Throws a {@link UserError} that lists those there are. */
export function checkDevice(name: string): string {
  const known = devices();
  const full = name === "cuda" ? "cuda:0" : name;
  if (known.includes(full)) return full;
  throw new UserError(
    `Unknown device '${name}'; this libtorch has ${known.join(", ")}. Set device to one of them.`,
  );
}

/** libtorch's release, as it says itself. */
export function torchVersion(): string {
  return native().version();
}

/** Tensors that are alive now. */
export function liveTensors(): number {
  return native().liveTensors();
}

/** Seeds libtorch's generator of a device: initial weights and random operators draw from it. */
export function seed(value: number, device = "cpu"): void {
  native().seed(device, value);
}

/** The state of libtorch's generator of a device, as bytes for a checkpoint. */
export function generatorState(device = "cpu"): Uint8Array {
  using state = new Tensor(native().generatorState(device));
  return state.toArray() as Uint8Array;
}

/** Continues libtorch's generator of a device from a saved state. */
export function setGeneratorState(bytes: Uint8Array, device = "cpu"): void {
  using state = fromBytes(bytes, [bytes.length], { dtype: "uint8" });
  native().setGeneratorState(device, state.slot);
}
