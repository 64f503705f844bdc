// A tensor of libtorch: a handle that owns one slot of the native table, with PyTorch's words for what it can do.
// Every operator is at hand in `aten`; the methods here are those that formulas read best with.
import { native, type Slot } from "../native/binding.ts";
import { aten } from "./aten.ts";
import { type Held, keep, type Scope, track, untrack } from "./scope.ts";

/** Element types that have a name here. */
export type DType =
  | "float32"
  | "float64"
  | "int64"
  | "int32"
  | "uint8"
  | "bool"
  | "bfloat16"
  | "float16"
  | "int16"
  | "int8";

/** A number or a tensor: what arithmetic accepts on its right-hand side. */
export type Operand = Tensor | number;

/** A handle to a tensor. Freed by its scope, by `dispose` (or `using`), or at last by the garbage collector. */
export class Tensor {
  /** Place in the native table; 0 once it is freed. @internal */
  slot: Slot;
  /** The scope that frees it. @internal */
  owner: Scope | undefined = undefined;
  /** Set while the garbage collector watches it. @internal */
  held: Held | undefined = undefined;

  /** Takes over `slot`. @internal */
  constructor(slot: Slot) {
    this.slot = slot;
    track(this);
  }

  /** The slot, for `operation`; throws when the tensor was freed. @internal */
  use(operation: string): Slot {
    if (this.slot === 0) {
      throw new Error(
        `${operation}: a tensor it was given was freed before; keep() it, or return it from its scope`,
      );
    }
    return this.slot;
  }

  /** Frees the tensor now. A second call does nothing. */
  dispose(): void {
    if (this.slot === 0) return;
    untrack(this);
    native().free1(this.slot);
    this.slot = 0;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  get freed(): boolean {
    return this.slot === 0;
  }
  get shape(): number[] {
    return native().shape(this.use("shape"));
  }
  get dtype(): DType {
    return native().dtype(this.use("dtype")) as DType;
  }
  get device(): string {
    return native().device(this.use("device"));
  }
  /** Number of elements. */
  get numel(): number {
    return this.shape.reduce((product, size) => product * size, 1);
  }
  get requiresGrad(): boolean {
    return native().requiresGrad(this.use("requiresGrad"));
  }
  /** Marks a leaf tensor as one that gradients are taken for; returns it. */
  setRequiresGrad(flag = true): this {
    native().setRequiresGrad(this.use("setRequiresGrad"), flag);
    return this;
  }

  /** The only element, as a number. */
  item(): number {
    return native().item(this.use("item"));
  }

  /** A copy of the elements in row-major order. bfloat16 and float16 come as float32. */
  toArray(): Float32Array | Float64Array | Int32Array | BigInt64Array | Uint8Array | Int16Array | Int8Array {
    const type = this.dtype;
    const read = (source: Tensor) => native().read(source.use("toArray"));
    switch (type) {
      case "float32":
        return new Float32Array(read(this));
      case "float64":
        return new Float64Array(read(this));
      case "int64":
        return new BigInt64Array(read(this));
      case "int32":
        return new Int32Array(read(this));
      case "int16":
        return new Int16Array(read(this));
      case "int8":
        return new Int8Array(read(this));
      case "uint8":
      case "bool":
        return new Uint8Array(read(this));
      default: {
        using wide = this.to({ dtype: "float32" });
        return new Float32Array(read(wide));
      }
    }
  }

  /** The elements as plain numbers, in row-major order. */
  toNumbers(): number[] {
    return Array.from<number | bigint, number>(this.toArray(), Number);
  }

  /** The elements of a matrix as rows of numbers. */
  toRows(): number[][] {
    const [rows, columns] = this.shape;
    const numbers = this.toNumbers();
    return Array.from({ length: rows }, (_, row) => numbers.slice(row * columns, (row + 1) * columns));
  }

  /** A tensor of another element type or on another device; the same values. */
  to({ dtype = this.dtype, device = this.device }: { dtype?: DType; device?: string }): Tensor {
    return aten.to.device(this, device, dtype);
  }

  /** A copy with storage of its own. */
  clone(): Tensor {
    return aten.clone.default(this);
  }
  /** The same values, cut off from the graph. */
  detach(): Tensor {
    return aten.detach.default(this);
  }

  add(other: Operand): Tensor {
    return typeof other === "number" ? aten.add.Scalar(this, other) : aten.add.Tensor(this, other);
  }
  sub(other: Operand): Tensor {
    return typeof other === "number" ? aten.sub.Scalar(this, other) : aten.sub.Tensor(this, other);
  }
  mul(other: Operand): Tensor {
    return typeof other === "number" ? aten.mul.Scalar(this, other) : aten.mul.Tensor(this, other);
  }
  div(other: Operand): Tensor {
    return typeof other === "number" ? aten.div.Scalar(this, other) : aten.div.Tensor(this, other);
  }
  neg(): Tensor {
    return aten.neg.default(this);
  }
  matmul(other: Tensor): Tensor {
    return aten.matmul.default(this, other);
  }
  sum(): Tensor {
    return aten.sum.default(this);
  }
  mean(): Tensor {
    return aten.mean.default(this);
  }
  reshape(shape: readonly number[]): Tensor {
    return aten.reshape.default(this, shape);
  }
  /** The `index`-th slice along dimension `dim`, without that dimension. */
  select(dim: number, index: number): Tensor {
    return aten.select.int(this, dim, index);
  }
  softmax(dim: number): Tensor {
    return aten.softmax.int(this, dim);
  }
  logSoftmax(dim: number): Tensor {
    return aten.log_softmax.int(this, dim);
  }
  /** Overwrites the elements with those of `source`, in place. */
  copy_(source: Tensor): this {
    aten.copy_.default(this, source).dispose();
    return this;
  }
}

/** Where and as what a tensor is made. */
export interface TensorOptions {
  readonly dtype?: DType;
  readonly device?: string;
}

const ARRAYS: Partial<Record<DType, { from(values: ArrayLike<number>): NodeJS.TypedArray }>> = {
  float32: Float32Array,
  float64: Float64Array,
  int32: Int32Array,
  uint8: Uint8Array,
  bool: Uint8Array,
  int16: Int16Array,
  int8: Int8Array,
  int64: { from: (values) => BigInt64Array.from(Array.from(values, BigInt)) },
};

/** A tensor of `shape` with the given elements in row-major order (float32 unless told otherwise). */
export function tensor(
  values: ArrayLike<number>,
  shape: readonly number[],
  { dtype = "float32", device = "cpu" }: TensorOptions = {},
): Tensor {
  const array = ARRAYS[dtype];
  if (!array) return tensor(values, shape, { device }).to({ dtype });
  return fromBytes(array.from(values), shape, { dtype, device });
}

/** A tensor whose elements are the bytes of `data`: nothing is converted, so `dtype` must be the array's own. */
export function fromBytes(
  data: NodeJS.TypedArray,
  shape: readonly number[],
  { dtype = "float32", device = "cpu" }: TensorOptions = {},
): Tensor {
  return new Tensor(native().create(data, shape, dtype, device));
}

/** A scalar tensor. */
export function scalar(value: number, options?: TensorOptions): Tensor {
  return tensor([value], [], options);
}

/** Zeros of a shape. */
export function zeros(
  shape: readonly number[],
  { dtype = "float32", device = "cpu" }: TensorOptions = {},
): Tensor {
  return aten.zeros.default(shape, dtype, null, device);
}

/** Ones of a shape. */
export function ones(
  shape: readonly number[],
  { dtype = "float32", device = "cpu" }: TensorOptions = {},
): Tensor {
  return aten.ones.default(shape, dtype, null, device);
}

/** One value in every place of a shape. */
export function full(
  shape: readonly number[],
  value: number,
  { dtype = "float32", device = "cpu" }: TensorOptions = {},
): Tensor {
  return aten.full.default(shape, value, dtype, null, device);
}

/** Standard normal numbers from libtorch's generator of the device. */
export function randn(
  shape: readonly number[],
  { dtype = "float32", device = "cpu" }: TensorOptions = {},
): Tensor {
  return aten.randn.default(shape, dtype, null, device);
}

/** Joins tensors along an existing dimension. */
export function cat(tensors: readonly Tensor[], dim: number): Tensor {
  return aten.cat.default(tensors, dim);
}

/** A tensor that gradients are taken for and that lives as long as the layer that holds it. */
export class Parameter extends Tensor {
  /** Takes over the values of `source`, which is freed. */
  constructor(source: Tensor) {
    using values = source;
    super(native().alias(values.use("Parameter")));
    keep(this);
    this.setRequiresGrad();
  }
}
