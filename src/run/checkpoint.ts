// Checkpoints: a search's or a training's snapshot as one safetensors file, written whole or not at all.
// The weights in it carry the reference implementation's names below `weights/`.
import { UserError } from "../errors.ts";
import { part, type Snapshot } from "../optim/snapshot.ts";
import { scope } from "../tensor/scope.ts";
import { type DType, fromBytes, type Tensor } from "../tensor/tensor.ts";
import { type Dtype, loadSafetensors, saveSafetensors, type TensorData } from "./safetensors.ts";

const FORMAT = "darts-checkpoint-1";

const TO_FILE: Partial<Record<DType, Dtype>> = {
  float32: "F32",
  float64: "F64",
  int64: "I64",
  int32: "I32",
  uint8: "U8",
  bool: "BOOL",
};
const FROM_FILE = new Map(Object.entries(TO_FILE).map(([type, file]) => [file, type as DType]));

/** Writes a snapshot to `path`. */
export function saveCheckpoint(path: string, { tensors, state }: Snapshot): void {
  saveSafetensors(path, toData(tensors), { format: FORMAT, state: JSON.stringify(state) });
}

/** Reads a snapshot; its tensors belong to the current scope. Throws a {@link UserError} when it is none. */
export function loadCheckpoint(path: string): Snapshot {
  const { tensors, metadata } = loadSafetensors(path);
  if (metadata["format"] !== FORMAT) {
    throw new UserError(
      `${path} is not a checkpoint of this version: its format is ${metadata["format"] ?? "not said"}, expected ${FORMAT}.`,
    );
  }
  return { tensors: fromData(tensors, path), state: JSON.parse(metadata["state"]!) };
}

/** Writes weights alone under their own names, as PyTorch's `safetensors.torch.load_file` reads them. */
export function saveWeights(path: string, weights: ReadonlyMap<string, Tensor>): void {
  saveSafetensors(path, toData(weights), { format: "pt" });
}

/** Reads weights: those of a checkpoint, or of a safetensors file that PyTorch wrote. */
export function loadWeights(path: string): Map<string, Tensor> {
  const { tensors } = loadSafetensors(path);
  const all = fromData(tensors, path);
  const inCheckpoint = part(all, "weights/");
  return inCheckpoint.size > 0 ? inCheckpoint : all;
}

function toData(tensors: ReadonlyMap<string, Tensor>): Map<string, TensorData> {
  return new Map(
    [...tensors].map(([name, tensor]) => {
      const dtype = TO_FILE[tensor.dtype];
      if (!dtype) throw new Error(`${name}: a tensor of ${tensor.dtype} cannot be written to a checkpoint`);
      const array = scope(() => tensor.toArray());
      const data = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
      return [name, { dtype, shape: tensor.shape, data }];
    }),
  );
}

function fromData(tensors: ReadonlyMap<string, TensorData>, path: string): Map<string, Tensor> {
  return new Map(
    [...tensors].map(([name, { dtype, shape, data }]) => {
      const type = FROM_FILE.get(dtype);
      if (!type) throw new UserError(`${path}: ${name} is of type ${dtype}, which is not read here.`);
      return [name, fromBytes(asArray(data, type), shape, { dtype: type })];
    }),
  );
}

function asArray(data: Uint8Array, type: DType): NodeJS.TypedArray {
  const { buffer, byteOffset, byteLength } = data;
  switch (type) {
    case "float32":
      return new Float32Array(buffer, byteOffset, byteLength / 4);
    case "float64":
      return new Float64Array(buffer, byteOffset, byteLength / 8);
    case "int64":
      return new BigInt64Array(buffer, byteOffset, byteLength / 8);
    case "int32":
      return new Int32Array(buffer, byteOffset, byteLength / 4);
    default:
      return data;
  }
}
