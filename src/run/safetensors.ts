// Weights on disk in the safetensors format, readable by PyTorch and every other user of it:
// 8 bytes of header length (little endian) | JSON header, padded with spaces to 8 bytes | data.
import { UserError } from "../errors.ts";
import { type KeptBeside, readBytes, writeAtomic } from "../files.ts";
import {
  byteLength,
  DTYPE_BYTES,
  type Dtype,
  type Entry,
  formatHeader,
  MAX_HEADER_BYTES,
  METADATA_KEY,
  parseHeader,
} from "./safetensors-header.ts";

export type { Dtype } from "./safetensors-header.ts";

/** One tensor as bytes: row-major, little endian. */
export interface TensorData {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/** Tensors by name, and texts about them. */
export interface Safetensors {
  readonly tensors: Map<string, TensorData>;
  readonly metadata: Record<string, string>;
}

/** Writes tensors to a file, whole or not at all; `kept` says what else becomes of it and of the one that was there. */
export function saveSafetensors(
  path: string,
  tensors: ReadonlyMap<string, TensorData>,
  metadata: Readonly<Record<string, string>> = {},
  kept: KeptBeside = {},
): void {
  writeAtomic(path, encodePieces(tensors, metadata), kept);
}

/** Reads a file of tensors; throws a {@link UserError} naming the file when it is missing or damaged. */
export function loadSafetensors(path: string): Safetensors {
  return decodeSafetensors(readBytes(path, "a safetensors file"), path);
}

/** The bytes of a safetensors file: the same tensors in the same order give the same bytes. */
export function encodeSafetensors(
  tensors: ReadonlyMap<string, TensorData>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  return Buffer.concat(encodePieces(tensors, metadata));
}

/**
 * Reads the bytes of a safetensors file, names in the order of its header. Each tensor gets a buffer of its
 * own, so that a typed array of any width can be laid over it. `source` begins every error message.
 */
export function decodeSafetensors(bytes: Uint8Array, source = "safetensors"): Safetensors {
  const fail = (problem: string): never => {
    throw new UserError(`${source}: ${problem}. Copy the file again, or write it anew.`);
  };
  if (bytes.length < 8) fail(`not a safetensors file: ${bytes.length} bytes, expected at least 8`);
  const length = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES))
    fail(`not a safetensors file: it announces a header of ${length} bytes`);
  const start = 8 + Number(length);
  if (start > bytes.length)
    fail(`cut off: a header of ${length} bytes announced, ${bytes.length - 8} bytes follow`);

  const { entries, metadata } = parseHeader(
    decodeText(bytes.subarray(8, start), fail),
    bytes.length - start,
    fail,
  );
  const tensors = new Map<string, TensorData>();
  for (const { name, dtype, shape, begin, end } of entries) {
    tensors.set(name, { dtype, shape, data: new Uint8Array(bytes.subarray(start + begin, start + end)) });
  }
  return { tensors, metadata: { ...metadata } };
}

function encodePieces(tensors: ReadonlyMap<string, TensorData>, metadata: Readonly<Record<string, string>>) {
  const placed = place(tensors);
  const text = Buffer.from(
    formatHeader({ entries: [...tensors.keys()].map((name) => placed.get(name)!), metadata }),
  );
  const padded = Math.ceil(text.length / 8) * 8;
  const head = Buffer.alloc(8 + padded, " ");
  head.writeBigUInt64LE(BigInt(padded), 0);
  text.copy(head, 8);
  return [head, ...[...placed.keys()].map((name) => tensors.get(name)!.data)];
}

/**
 * Data go widest type first, each type in the order given: every tensor then begins at a multiple of its
 * element size, without which PyTorch cannot view the bytes as that type. The header keeps the given order.
 */
function place(tensors: ReadonlyMap<string, TensorData>): Map<string, Entry> {
  const sorted = [...tensors].sort(([, a], [, b]) => DTYPE_BYTES[b.dtype] - DTYPE_BYTES[a.dtype]);
  const placed = new Map<string, Entry>();
  let begin = 0;
  for (const [name, { dtype, shape, data }] of sorted) {
    const expected = byteLength(dtype, shape);
    if (name === METADATA_KEY || /\p{Surrogate}/u.test(name)) {
      throw new Error(`A tensor cannot be named ${JSON.stringify(name)} in a safetensors file.`);
    }
    if (data.byteLength !== expected) {
      throw new Error(
        `${name}: ${dtype} of [${shape.join(", ")}] takes ${expected} bytes, got ${data.byteLength}.`,
      );
    }
    placed.set(name, { name, dtype, shape, begin, end: begin + expected });
    begin += expected;
  }
  return placed;
}

function decodeText(bytes: Uint8Array, fail: (problem: string) => never): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return fail("the header is not UTF-8 text");
  }
}
