// IDX, the format of MNIST (LeCun, Cortes, Burges): two zero bytes, a type byte, the number of dimensions,
// each dimension as a big-endian 32-bit integer, then the elements. Only unsigned bytes (type 8) are read.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { constants, gunzipSync } from "node:zlib";
import { UserError } from "../errors.ts";
import { readBytes } from "../files.ts";
import { type ImageSet, plainBytes } from "./dataset.ts";

/** Node's own limit for a buffer read at once is the same. */
const MOST_BYTES = 2 ** 31 - 1;
const MOST_FOREIGN_BYTES = 2 ** 24;

/** The names of the four files, in the order: training images and labels, test images and labels. */
export const IDX_FILES = [
  "train-images-idx3-ubyte",
  "train-labels-idx1-ubyte",
  "t10k-images-idx3-ubyte",
  "t10k-labels-idx1-ubyte",
] as const;

/** An array of unsigned bytes. */
export interface IdxArray {
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/** Reads one IDX file; `where` names it in errors. */
export function parseIdx(bytes: Uint8Array, where: string): IdxArray {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const dimensions = bytes.length >= 4 ? bytes[3] : 0;
  const header = 4 + 4 * dimensions;
  if (bytes.length < header || bytes[0] !== 0 || bytes[1] !== 0 || dimensions === 0) {
    throw new UserError(
      `${where} is no IDX file: it does not start as one. Name the unpacked or .gz IDX files.`,
    );
  }
  if (bytes[2] !== 8) {
    throw new UserError(
      `${where} holds elements of type 0x${bytes[2].toString(16)}, expected unsigned bytes (0x8).`,
    );
  }
  const shape = Array.from({ length: dimensions }, (_, i) => view.getUint32(4 + 4 * i));
  const size = shape.reduce((product, length) => product * length, 1);
  if (bytes.length !== header + size) {
    throw new UserError(
      `${where} has ${bytes.length} bytes, but its header (${shape.join("×")}) says ${header + size}. Fetch it again.`,
    );
  }
  return { shape, data: plainBytes(bytes.subarray(header)) };
}

/** Reads the four IDX files in `folder`, plain or .gz: grey images as [count, 1, height, width]. */
export function readIdxFolder(folder: string): { train: ImageSet; test: ImageSet } {
  const [trainImages, trainLabels, testImages, testLabels] = IDX_FILES.map((name) => findIdx(folder, name));
  return { train: readPair(trainImages, trainLabels), test: readPair(testImages, testLabels) };
}

/** Path of one of the files: some mirrors spell it with a dot, and it may be compressed. */
function findIdx(folder: string, name: string): string {
  const spellings = [name, name.replace("-idx", ".idx")].flatMap((spelling) => [spelling, `${spelling}.gz`]);
  const found = spellings.map((spelling) => join(folder, spelling)).find((path) => existsSync(path));
  if (found !== undefined) return found;
  throw new UserError(
    `${folder} holds no ${name} (nor ${name}.gz). data.path must be a folder with the four files ${IDX_FILES.join(", ")}.`,
  );
}

function readPair(imagesPath: string, labelsPath: string): ImageSet {
  const images = parseIdx(contents(imagesPath), imagesPath);
  const labels = parseIdx(contents(labelsPath), labelsPath);
  if (images.shape.length !== 3 || labels.shape.length !== 1 || images.shape[0] !== labels.shape[0]) {
    throw new UserError(
      `${imagesPath} is ${images.shape.join("×")} and ${labelsPath} is ${labels.shape.join("×")}; ` +
        "expected count×height×width images and as many labels.",
    );
  }
  const [count, height, width] = images.shape;
  if (count * height * width === 0)
    throw new UserError(`${imagesPath} holds no images (${images.shape.join("×")}).`);
  return { images: images.data, labels: labels.data, count, channels: 1, height, width };
}

/** The bytes of a file, unpacked if it is compressed, but never to more than its header announces. */
function contents(path: string): Uint8Array {
  const bytes = readBytes(path, "an IDX file");
  return path.endsWith(".gz") ? unpackIdx(bytes, path) : bytes;
}

/** Unpacks a compressed IDX file; `where` names it in errors. */
export function unpackIdx(bytes: Uint8Array, where: string): Uint8Array {
  try {
    // A kilobyte unpacks to a megabyte at most, and holds the header.
    const start = gunzipSync(bytes.subarray(0, 1024), { finishFlush: constants.Z_SYNC_FLUSH });
    const most = announcedBytes(start);
    if (most > MOST_BYTES) throw new Error(`it announces ${most} bytes, at most ${MOST_BYTES} are read`);
    return gunzipSync(bytes, { maxOutputLength: Math.max(most, 1) });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = code === "ERR_BUFFER_TOO_LARGE" ? "it unpacks to more than its header announces" : message;
    throw new UserError(`${where} is not a whole .gz file of IDX (${reason}). Fetch it again.`, {
      cause: error,
    });
  }
}

/** Bytes of the whole file by its header; what is no IDX file may have as many as a header has, to be told as such. */
function announcedBytes(start: Uint8Array): number {
  const view = new DataView(start.buffer, start.byteOffset, start.byteLength);
  const dimensions = start.length >= 4 ? start[3] : 0;
  const header = 4 + 4 * dimensions;
  if (start.length < header || start[0] !== 0 || start[1] !== 0) return MOST_FOREIGN_BYTES;
  let size = 1;
  for (let i = 0; i < dimensions; i++) size *= view.getUint32(4 + 4 * i);
  return header + size;
}
