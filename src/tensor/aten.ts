// Every operator of libtorch, called by its own name: `aten.add.Tensor(a, b)` is PyTorch's torch.ops.aten.add.Tensor.
// Declarations are generated from libtorch's schemas (scripts/generate-aten.ts); an operator is looked up once.
import { native, type RawResult } from "../native/binding.ts";
import type { AtenOperators } from "./aten.generated.ts";
import { Tensor } from "./tensor.ts";

type Operator = (...args: unknown[]) => unknown;

/** libtorch's `aten` operators by name and overload ("default" where it has none). */
export const aten = lazily((name) =>
  lazily((overload) => bind(`aten::${name}`, overload)),
) as unknown as AtenOperators;

const others = new Map<string, Operator>();

/** An operator of another namespace, untyped: those that kernels of our own register. Looked up once, as in `aten`. */
export function operator(qualifiedName: string, overload = "default"): Operator {
  const key = `${qualifiedName}.${overload}`;
  const known = others.get(key) ?? bind(qualifiedName, overload);
  others.set(key, known);
  return known;
}

/** An object whose properties are made on first use; from then on they are plain properties, hence fast. */
function lazily<T>(make: (key: string) => T): Record<string, T> {
  const made: Record<string, T> = Object.create(
    new Proxy(
      {},
      {
        get(_, key) {
          if (typeof key !== "string") return undefined;
          const value = make(key);
          Object.defineProperty(made, key, { value, enumerable: true });
          return value;
        },
      },
    ),
  );
  return made;
}

function bind(name: string, overload: string): Operator {
  const torch = native();
  const [index, parameters, isTensor] = torch.resolve(name, overload);
  const label = overload === "default" ? name : `${name}.${overload}`;
  const un = (value: unknown) => unwrap(value, label);
  // The frequent small arities are spelled out: rest arguments would cost as much as the call itself.
  if (isTensor.length === 1 && isTensor[0] && parameters <= 3) {
    return (a, b, c) => wrapOne(torch.call(index, un(a), un(b), un(c)));
  }
  return (...args) => {
    if (args.length > parameters)
      throw new TypeError(`${label}: got ${args.length} arguments, it takes ${parameters}`);
    return wrap(torch.call(index, ...args.map(un)), isTensor);
  };
}

function unwrap(value: unknown, label: string): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Tensor) return value.use(label);
  if (!Array.isArray(value)) return value;
  return value[0] instanceof Tensor && value.every((item) => item instanceof Tensor)
    ? slotsOf(value, label)
    : value.map((item) => unwrap(item, label));
}

/** Tensors as one typed array, which the bridge reads at once. */
function slotsOf(tensors: readonly Tensor[], label: string): Uint32Array {
  const slots = new Uint32Array(tensors.length);
  for (let i = 0; i < slots.length; i++) slots[i] = tensors[i].use(label);
  return slots;
}

function wrapOne(result: RawResult): unknown {
  return typeof result === "number" ? new Tensor(result) : wrapTensors(result);
}

function wrap(result: RawResult, isTensor: readonly boolean[]): unknown {
  if (isTensor.length === 0) return undefined;
  if (isTensor.length === 1) return isTensor[0] ? wrapTensors(result) : result;
  return (result as RawResult[]).map((part, i) => (isTensor[i] ? wrapTensors(part) : part));
}

/** A slot becomes a tensor, slot 0 (an undefined tensor) becomes undefined, lists element by element. */
function wrapTensors(result: RawResult): unknown {
  if (Array.isArray(result)) return result.map(wrapTensors);
  return result === 0 ? undefined : new Tensor(result as number);
}
