// Who frees a tensor: the scope it was made in, `dispose`, or — as the net below both — the garbage collector.
// Finalizers do not run inside a synchronous loop, so work that makes many tensors belongs in a scope.
import { native } from "../native/binding.ts";
import type { Tensor } from "./tensor.ts";

/** What the garbage collector needs to free a tensor whose handle nobody reaches any more. */
export interface Held {
  slot: number;
  readonly bytes: number;
}

/** A list of tensors that are freed together. */
export class Scope {
  readonly tensors: Tensor[] = [];
  readonly parent: Scope | undefined;

  constructor(parent: Scope | undefined) {
    this.parent = parent;
  }
}

let current: Scope | undefined;

const net = new FinalizationRegistry<Held>((held) => {
  native().free1(held.slot);
  native().adjustMemory(-held.bytes);
});

/**
 * Runs `fn` and frees every tensor made inside, except those reachable from what it returns.
 * Scopes nest; an inner one hands what it returns to the outer one. `fn` must not be asynchronous.
 */
export function scope<T>(fn: () => T): T {
  const inner = new Scope(current);
  current = inner;
  try {
    const result = fn();
    if (result instanceof Promise) {
      throw new TypeError(
        "scope: the function returned a promise; a scope must end before its tensors are awaited",
      );
    }
    if (result !== undefined && result !== null) release(result, inner);
    return result;
  } finally {
    current = inner.parent;
    freeAll(inner);
  }
}

/** Takes `tensor` out of the scope it was made in: it lives until `dispose`, or as long as it is reachable. */
export function keep<T extends Tensor>(tensor: T): T {
  if (tensor.held === undefined) toNet(tensor);
  tensor.owner = undefined;
  return tensor;
}

/** Puts a tensor that was just made under the care of the current scope, or of the net. */
export function track(tensor: Tensor): void {
  if (current === undefined) {
    toNet(tensor);
    return;
  }
  tensor.owner = current;
  current.tensors.push(tensor);
}

/** Forgets a tensor that was freed by hand. */
export function untrack(tensor: Tensor): void {
  if (tensor.held === undefined) return;
  net.unregister(tensor);
  native().adjustMemory(-tensor.held.bytes);
  tensor.held = undefined;
}

/** Exchanges what two handles stand for: each keeps its identity and takes the other's tensor. */
export function exchange(a: Tensor, b: Tensor): void {
  const slot = a.use("exchange");
  a.slot = b.use("exchange");
  b.slot = slot;
  if (a.held) a.held.slot = a.slot;
  if (b.held) b.held.slot = b.slot;
}

function toNet(tensor: Tensor): void {
  const held: Held = { slot: tensor.slot, bytes: native().byteLength(tensor.slot) };
  tensor.held = held;
  net.register(tensor, held, tensor);
  native().adjustMemory(held.bytes);
}

/** Hands every tensor reachable from `value` that `inner` owns to its parent. */
function release(value: unknown, inner: Scope, seen?: Set<unknown>): void {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return;
  if ("slot" in value && "owner" in value) {
    const tensor = value as Tensor;
    if (tensor.owner !== inner) return;
    tensor.owner = inner.parent;
    if (inner.parent) inner.parent.tensors.push(tensor);
    else toNet(tensor);
    return;
  }
  const visited = seen ?? new Set();
  if (visited.has(value)) return;
  visited.add(value);
  const parts = value instanceof Map || value instanceof Set ? value.values() : Object.values(value);
  for (const part of parts) release(part, inner, visited);
}

let slots = new Uint32Array(256);

function freeAll(inner: Scope): void {
  if (inner.tensors.length > slots.length) slots = new Uint32Array(2 * inner.tensors.length);
  let count = 0;
  for (const tensor of inner.tensors) {
    if (tensor.owner !== inner || tensor.slot === 0) continue;
    slots[count++] = tensor.slot;
    tensor.slot = 0;
  }
  if (count > 0) native().free(slots, count);
}
