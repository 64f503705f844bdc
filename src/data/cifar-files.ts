// The forms in which the ten-class CIFAR images are passed around (Krizhevsky 2009), five training batches
// and one test batch each: the official binary and Python versions, and PNG sheets.
import { z } from "zod";
import { UserError } from "../errors.ts";
import type { ImageSet } from "./dataset.ts";
import { readPickle } from "./pickle.ts";
import { decodePng } from "./png.ts";

const SIDE = 32;
const PLANE = SIDE * SIDE;
const PIXELS = 3 * PLANE;

const BATCHES = [
  "data_batch_1",
  "data_batch_2",
  "data_batch_3",
  "data_batch_4",
  "data_batch_5",
  "test_batch",
];
const LABELS = ["train_lables.json", "test_lables.json"]; // sic

/** Images of one batch as [count, 3, 32, 32] and their labels. */
interface Batch {
  readonly images: Uint8Array;
  readonly labels: Uint8Array;
}

/** Whether a file of this name is part of any of the three forms. */
export function isCifarFile(name: string): boolean {
  return LABELS.includes(name) || BATCHES.includes(name.replace(/\.(bin|png)$/, ""));
}

/**
 * Reads whichever form `files` (bytes by name) has.
 * @param where names the folder or archive in errors
 */
export function readCifarFiles(
  files: ReadonlyMap<string, Uint8Array>,
  where: string,
): { train: ImageSet; test: ImageSet } {
  const forms: [ending: string, read: (bytes: Uint8Array, name: string) => Batch][] = [
    [".bin", readBinary],
    ["", readPython],
    [".png", sheetReader(files, where)],
  ];
  const form = forms.find(([ending]) => BATCHES.some((name) => files.has(name + ending)));
  if (form === undefined) {
    throw new UserError(
      `${where} holds no CIFAR-10 batches. data.path must be cifar-10-binary.tar.gz or cifar-10-python.tar.gz, ` +
        "or a folder with data_batch_1.bin … test_batch.bin or data_batch_1 … test_batch.",
    );
  }
  const [ending, read] = form;
  const batches = BATCHES.map((name) => {
    const bytes = files.get(name + ending);
    if (bytes !== undefined) return read(bytes, `${where}: ${name}${ending}`);
    throw new UserError(
      `${where} holds no ${name}${ending}; expected five training batches and one test batch.`,
    );
  });
  return { train: joined(batches.slice(0, 5)), test: joined(batches.slice(5)) };
}

/** Official binary version: records of one label byte and 3×32×32 pixels. */
function readBinary(bytes: Uint8Array, where: string): Batch {
  const record = 1 + PIXELS;
  if (bytes.length === 0 || bytes.length % record !== 0) {
    throw new UserError(
      `${where} has ${bytes.length} bytes, expected a multiple of ${record}. Unpack the archive again.`,
    );
  }
  const count = bytes.length / record;
  const images = new Uint8Array(count * PIXELS);
  const labels = new Uint8Array(count);
  for (let n = 0; n < count; n++) {
    labels[n] = bytes[n * record];
    images.set(bytes.subarray(n * record + 1, (n + 1) * record), n * PIXELS);
  }
  return { images, labels };
}

/** Official Python version: a pickled dictionary with `data` [count, 3072] and `labels`. */
function readPython(bytes: Uint8Array, where: string): Batch {
  const content = readable(where, () => readPickle(bytes));
  const data = content instanceof Map ? content.get("data") : undefined;
  const labels = content instanceof Map ? content.get("labels") : undefined;
  const isArray = typeof data === "object" && data !== null && "shape" in data;
  if (!isArray || !Array.isArray(labels) || data.shape[1] !== PIXELS || data.shape[0] !== labels.length) {
    throw new UserError(
      `${where} holds no data [count, ${PIXELS}] with as many labels. Unpack the archive again.`,
    );
  }
  const wrong = labels.findIndex(
    (label) => !Number.isInteger(label) || Number(label) < 0 || Number(label) > 255,
  );
  if (wrong >= 0)
    throw new UserError(`${where}: label ${wrong} is no number of a class. Unpack the archive again.`);
  return { images: data.data, labels: Uint8Array.from(labels as number[]) };
}

/** PNG sheets: each row of a sheet is one image in (row, column, channel) order; labels lie beside them. */
function sheetReader(files: ReadonlyMap<string, Uint8Array>, where: string) {
  const remaining = LABELS.map((name) => {
    const bytes = files.get(name);
    return bytes === undefined ? [] : readable(`${where}: ${name}`, () => parseLabels(bytes));
  });
  return (bytes: Uint8Array, name: string): Batch => {
    const { width, height: count, channels, depth, data } = readable(name, () => decodePng(bytes));
    if (width !== PLANE || channels !== 3 || depth !== 8) {
      throw new UserError(
        `${name} is ${width} pixels wide with ${channels} channels of ${depth} bits; expected ${PLANE}, 3 and 8.`,
      );
    }
    const images = new Uint8Array(count * PIXELS);
    for (let n = 0; n < count; n++) {
      for (let i = 0, from = n * PIXELS; i < PLANE; i++) {
        for (let c = 0; c < 3; c++) images[n * PIXELS + c * PLANE + i] = data[from++];
      }
    }
    // The training labels of all five sheets are one list.
    const labels = remaining[name.endsWith("test_batch.png") ? 1 : 0].splice(0, count);
    if (labels.length !== count)
      throw new UserError(`${where} holds ${labels.length} labels for ${count} images.`);
    return { images, labels: Uint8Array.from(labels) };
  };
}

function parseLabels(json: Uint8Array): number[] {
  return z.array(z.number().int().min(0).max(255)).parse(JSON.parse(Buffer.from(json).toString("utf8")));
}

/** What `read` returns; whatever it throws becomes an error that names the file. */
function readable<T>(where: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new UserError(`${where} cannot be read: ${(error as Error).message}. Fetch or unpack it again.`, {
      cause: error,
    });
  }
}

function joined(batches: readonly Batch[]): ImageSet {
  const count = batches.reduce((sum, batch) => sum + batch.labels.length, 0);
  const images = new Uint8Array(count * PIXELS);
  const labels = new Uint8Array(count);
  let at = 0;
  for (const batch of batches) {
    images.set(batch.images, at * PIXELS);
    labels.set(batch.labels, at);
    at += batch.labels.length;
  }
  return { images, labels, count, channels: 3, height: SIDE, width: SIDE };
}
