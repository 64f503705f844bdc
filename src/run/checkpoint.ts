// Checkpoints: a search's or a training's snapshot as one safetensors file, written whole or not at all, with a
// checksum over all of it. The weights in it carry the reference implementation's names below `weights/`.
import { createHash } from "node:crypto";
import { UserError } from "../errors.ts";
import { type KeptBeside, readBytes } from "../files.ts";
import { part, type Snapshot } from "../optim/snapshot.ts";
import { scope } from "../tensor/scope.ts";
import { type DType, fromBytes, type Tensor } from "../tensor/tensor.ts";
import {
  type Dtype,
  decodeSafetensors,
  loadSafetensors,
  type Safetensors,
  saveSafetensors,
  type TensorData,
} from "./safetensors.ts";

const FORMAT = "darts-checkpoint-";
const VERSION = 2;

const TO_FILE: Partial<Record<DType, Dtype>> = {
  float32: "F32",
  float64: "F64",
  int64: "I64",
  int32: "I32",
  uint8: "U8",
  bool: "BOOL",
};
const FROM_FILE = new Map(Object.entries(TO_FILE).map(([type, file]) => [file, type as DType]));

/** A checkpoint that is cut off or changed: one before it may serve. */
export class DamagedCheckpoint extends UserError {}

/** Writes a snapshot to `path`; `kept` says under which paths it and the checkpoint that was there are kept too. */
export function saveCheckpoint(path: string, { tensors, state }: Snapshot, kept: KeptBeside = {}): void {
  const data = toData(tensors);
  const text = JSON.stringify(state);
  const metadata = { format: `${FORMAT}${VERSION}`, checksum: checksumOf(data, text), state: text };
  saveSafetensors(path, data, metadata, kept);
}

/**
 * Reads a snapshot; its tensors belong to the current scope. Throws a {@link DamagedCheckpoint} when it is not what
 * was once written, and a {@link UserError} when it is no checkpoint or one of another version.
 */
export function loadCheckpoint(path: string): Snapshot {
  const { tensors, metadata } = verified(path, read(path));
  return { tensors: fromData(tensors, path), state: JSON.parse(metadata["state"]!) };
}

/** The state of a checkpoint without its tensors; throws like {@link loadCheckpoint}. */
export function loadCheckpointState(path: string): unknown {
  return JSON.parse(verified(path, read(path)).metadata["state"]!);
}

function verified(path: string, file: Safetensors): Safetensors {
  const { format, checksum, state } = file.metadata;
  requireVersion(path, format);
  if (state === undefined || checksum !== checksumOf(file.tensors, state)) {
    throw new DamagedCheckpoint(
      `${path} is damaged: its content does not fit its checksum. Use another checkpoint or a copy of it.`,
    );
  }
  return file;
}

function read(path: string): Safetensors {
  try {
    return decodeSafetensors(readBytes(path, "a checkpoint"), path);
  } catch (error) {
    if (error instanceof UserError) throw new DamagedCheckpoint(error.message, { cause: error });
    throw error;
  }
}

function requireVersion(path: string, format: string | undefined): void {
  if (format === `${FORMAT}${VERSION}`) return;
  const version = format?.startsWith(FORMAT) ? Number(format.slice(FORMAT.length)) : Number.NaN;
  const advice =
    version > VERSION
      ? " A newer version of darts wrote it: use that one."
      : " Resume from a checkpoint that this version of darts wrote.";
  throw new UserError(
    `${path} is not a checkpoint of this version: its format is ${format ?? "not said"}, ` +
      `expected ${FORMAT}${VERSION}.${advice}`,
  );
}

/** SHA-256 over names, types, shapes and bytes of the tensors, and the state. */
function checksumOf(tensors: ReadonlyMap<string, TensorData>, state: string): string {
  const hash = createHash("sha256").update(state);
  for (const [name, { dtype, shape, data }] of tensors)
    hash.update(JSON.stringify([name, dtype, shape])).update(data);
  return hash.digest("hex");
}

/** Writes weights alone under their own names, as PyTorch's `safetensors.torch.load_file` reads them. */
export function saveWeights(path: string, weights: ReadonlyMap<string, Tensor>): void {
  saveSafetensors(path, toData(weights), { format: "pt" });
}

/** Reads weights: those of a checkpoint, or of a safetensors file that PyTorch wrote. */
export function loadWeights(path: string): Map<string, Tensor> {
  const file = loadSafetensors(path);
  if (!file.metadata["format"]?.startsWith(FORMAT)) return fromData(file.tensors, path);
  return part(fromData(verified(path, file).tensors, path), "weights/");
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
