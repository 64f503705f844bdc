// IDX, the format of MNIST (LeCun, Cortes, Burges): two zero bytes, a type byte, the number of dimensions,
// each dimension as a big-endian 32-bit integer, then the elements. Only unsigned bytes (type 8) are read.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { UserError } from "../errors.ts";
import { type ImageSet, plainBytes } from "./dataset.ts";

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

function contents(path: string): Uint8Array {
  const bytes = readFileSync(path);
  if (!path.endsWith(".gz")) return bytes;
  try {
    return gunzipSync(bytes);
  } catch (error) {
    throw new UserError(`${path} is not a whole .gz file (${(error as Error).message}). Fetch it again.`, {
      cause: error,
    });
  }
}
