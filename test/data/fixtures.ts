// Small data sets in every form that the data layer reads, made in a temporary folder by the test itself.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { TestContext } from "node:test";
import { encode } from "fast-png";
import type { ImageSet } from "../../src/data/dataset.ts";
import { IDX_FILES } from "../../src/data/idx.ts";
import { createGenerator } from "../../src/random/generator.ts";

/** A folder that is removed after the test. */
export function temporaryFolder(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "darts-test-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A set of random images whose labels go round the classes. */
export function randomSet(
  seed: number,
  {
    count = 20,
    channels = 3,
    side = 32,
    classes = 10,
  }: { count?: number; channels?: number; side?: number; classes?: number } = {},
): ImageSet {
  const generator = createGenerator(seed, "fixture");
  const images = Uint8Array.from({ length: count * channels * side * side }, () => generator.int(0, 255));
  const labels = Uint8Array.from({ length: count }, (_, n) => n % classes);
  return { images, labels, count, channels, height: side, width: side };
}

/** Writes `files` (content by name, folders in the name are made) into `folder`. */
export function writeFiles(folder: string, files: ReadonlyMap<string, Uint8Array | string>): void {
  for (const [name, content] of files) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
}

/** An IDX file of bytes. */
export function idxFile(shape: readonly number[], data: Uint8Array): Uint8Array {
  const header = Buffer.alloc(4 + 4 * shape.length);
  header.writeUInt16BE(0x0800 | shape.length, 2);
  for (const [i, length] of shape.entries()) header.writeUInt32BE(length, 4 + 4 * i);
  return Buffer.concat([header, data]);
}

/** The four IDX files of grey images. */
export function idxFiles(train: ImageSet, test: ImageSet): Map<string, Uint8Array> {
  const contents = [train, test].flatMap(({ images, labels, count, height, width }) => [
    idxFile([count, height, width], images),
    idxFile([count], labels as Uint8Array),
  ]);
  return new Map(IDX_FILES.map((name, i) => [name, contents[i]]));
}

/** The batches of CIFAR-10 in one of its forms; the training images are a multiple of five. */
export function cifarFiles(
  train: ImageSet,
  test: ImageSet,
  form: "binary" | "python" | "sheets",
): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  const part = train.count / 5;
  const batches = [1, 2, 3, 4, 5].map(
    (i) => [`data_batch_${i}`, portion(train, (i - 1) * part, i * part)] as const,
  );
  for (const [name, set] of [...batches, ["test_batch", test] as const]) {
    if (form === "binary") files.set(`${name}.bin`, binaryBatch(set));
    if (form === "python") files.set(name, pythonBatch(set));
    if (form === "sheets") files.set(`${name}.png`, sheet(set));
  }
  if (form === "sheets") {
    files.set("train_lables.json", Buffer.from(JSON.stringify(Array.from(train.labels))));
    files.set("test_lables.json", Buffer.from(JSON.stringify(Array.from(test.labels))));
  }
  return files;
}

function portion(set: ImageSet, from: number, to: number): ImageSet {
  const size = set.channels * set.height * set.width;
  const images = set.images.slice(from * size, to * size);
  return { ...set, images, labels: set.labels.slice(from, to), count: to - from };
}

function binaryBatch({ images, labels, count }: ImageSet): Uint8Array {
  const records = Array.from({ length: count }, (_, n) => [
    Uint8Array.of(labels[n]),
    images.subarray(n * 3072, (n + 1) * 3072),
  ]);
  return Buffer.concat(records.flat());
}

function sheet({ images, count }: ImageSet): Uint8Array {
  const data = new Uint8Array(count * 3072);
  for (let n = 0; n < count; n++) {
    for (let i = 0; i < 3072; i++) data[n * 3072 + i] = images[n * 3072 + (i % 3) * 1024 + Math.floor(i / 3)];
  }
  return encode({ width: 1024, height: count, channels: 3, depth: 8, data });
}

/** What Python 2 wrote: byte strings as BINSTRING, the array by numpy 1. */
export function pythonBatch({ images, labels, count }: ImageSet): Uint8Array {
  const shortString = (text: string) =>
    Buffer.concat([Buffer.from(["U".charCodeAt(0), text.length]), Buffer.from(text)]);
  const int = (value: number) => Buffer.from(["M".charCodeAt(0), value & 255, value >> 8]);
  const size = Buffer.alloc(4);
  size.writeUInt32LE(images.length);
  const text = (instructions: string) => Buffer.from(instructions, "latin1");
  return Buffer.concat([
    text("\x80\x02}q\x01("),
    ...[
      shortString("data"),
      text("cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85U\x01b\x87Rq\x04"),
    ],
    ...[text("(K\x01"), int(count), int(3072), text("\x86cnumpy\ndtype\nq\x05U\x02u1K\x00K\x01\x87Rq\x06")],
    text("(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"),
    ...[text("T"), size, images, text("tb")],
    ...[shortString("labels"), text("]q\x07("), ...Array.from(labels, int), text("e")],
    text("u."),
  ]);
}
