// The answers of PyTorch (test/fixtures, made by scripts/parity) as tensors of the scope that asks for them.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { loadSafetensors, type TensorData } from "../../src/run/safetensors.ts";
import { fromBytes, type Tensor } from "../../src/tensor/tensor.ts";

/** One file of fixtures. */
export interface Fixture {
  /** The tensor called `key`. */
  tensor(key: string): Tensor;
  /** The tensors whose names begin with `prefix/`, by what follows. */
  under(prefix: string): Map<string, Tensor>;
  has(key: string): boolean;
  /** Names that begin with `prefix`. */
  keys(prefix?: string): string[];
  /** The metadata called `name`, parsed. */
  json<T>(name: string): T;
}

const path = (file: string) => fileURLToPath(new URL(`../../../test/fixtures/${file}`, import.meta.url));

/** Opens `test/fixtures/<name>.safetensors`. */
export function openFixture(name: string): Fixture {
  const { tensors, metadata } = loadSafetensors(path(`${name}.safetensors`));
  const find = (key: string) => {
    const data = tensors.get(key);
    if (!data) throw new Error(`${name}.safetensors has no ${key}`);
    return toTensor(data);
  };
  const keys = (prefix = "") => [...tensors.keys()].filter((key) => key.startsWith(prefix));
  return {
    tensor: find,
    under: (prefix) => new Map(keys(`${prefix}/`).map((key) => [key.slice(prefix.length + 1), find(key)])),
    has: (key) => tensors.has(key),
    keys,
    json: (key) => JSON.parse(metadata[key]!),
  };
}

/** Names and shapes of the published state_dicts: of the supernet and of both kinds of derived network. */
export function publishedNames(): Record<
  "supernet" | "cifar" | "imagenet",
  [name: string, shape: number[]][]
> {
  return JSON.parse(readFileSync(path("supernet-names.json"), "utf8"));
}

function toTensor({ dtype, shape, data }: TensorData): Tensor {
  if (dtype === "F64") return fromBytes(new Float64Array(data.buffer), shape, { dtype: "float64" });
  if (dtype === "I64") return fromBytes(new BigInt64Array(data.buffer), shape, { dtype: "int64" });
  throw new Error(`fixtures are F64 or I64, got ${dtype}`);
}
