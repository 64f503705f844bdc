// The processed form of a data set in the cache: images and labels as plain bytes, and a manifest.
// The manifest is written last and removed first: where it lies, the rest was once whole. Checksums are
// compared at every start all the same: they cost 0.1 s for CIFAR-10, and a damaged image costs a search.
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { sha256 } from "./checksum.ts";
import { type ImageDataset, type ImageSet, plainBytes } from "./dataset.ts";
import { removeCached, writeCached } from "./disk.ts";

/** What lies in the cache: a whole data set, nothing, or something damaged and why. */
export type Stored =
  | { readonly state: "whole"; readonly dataset: ImageDataset }
  | { readonly state: "absent" }
  | { readonly state: "damaged"; readonly problems: readonly string[] };

const file = z.strictObject({ name: z.string().regex(/^[a-z-]{1,40}\.bin$/), sha256: z.string() });
const split = z.strictObject({
  count: z.number().int().min(0),
  channels: z.number().int().min(1),
  height: z.number().int().min(1),
  width: z.number().int().min(1),
  images: file,
  labels: file,
});
const manifestSchema = z.strictObject({
  format: z.literal(1),
  name: z.string(),
  classes: z.array(z.string()),
  mean: z.array(z.number()),
  std: z.array(z.number()),
  train: split,
  test: split,
});

const MANIFEST = "manifest.json";

/** Writes the processed form of `dataset` into `folder`; it has at most 256 classes. */
export function storeDataset(folder: string, dataset: ImageDataset): void {
  const { name, classes, mean, std } = dataset;
  removeCached(join(folder, MANIFEST));
  const train = storeSplit(folder, "train", dataset.train);
  const test = storeSplit(folder, "test", dataset.test);
  const manifest = { format: 1, name, classes, mean, std, train, test };
  writeCached(join(folder, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`);
}

/** Reads what {@link storeDataset} wrote into `folder` and compares every checksum. */
export function readStored(folder: string): Stored {
  const path = join(folder, MANIFEST);
  if (!existsSync(path)) return { state: "absent" };
  const manifest = parseManifest(path);
  if (manifest === undefined)
    return { state: "damaged", problems: [`${path} is not a manifest of this version`] };
  const problems: string[] = [];
  const { name, classes, mean, std } = manifest;
  const train = readSplit(folder, manifest.train, problems);
  const test = readSplit(folder, manifest.test, problems);
  if (problems.length > 0) return { state: "damaged", problems };
  return { state: "whole", dataset: { name, classes, mean, std, train, test } };
}

function parseManifest(path: string): z.infer<typeof manifestSchema> | undefined {
  try {
    return manifestSchema.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch {
    return undefined; // cut, edited, or of another version: it is made again
  }
}

function storeSplit(folder: string, name: string, set: ImageSet): z.infer<typeof split> {
  if (set.labels.BYTES_PER_ELEMENT !== 1) throw new RangeError("only labels of one byte are stored");
  const write = (what: string, bytes: Uint8Array) => {
    writeCached(join(folder, `${name}-${what}.bin`), bytes);
    return { name: `${name}-${what}.bin`, sha256: sha256(bytes) };
  };
  const { count, channels, height, width } = set;
  const images = write("images", set.images);
  const labels = write("labels", set.labels as Uint8Array);
  return { count, channels, height, width, images, labels };
}

function readSplit(folder: string, split_: z.infer<typeof split>, problems: string[]): ImageSet {
  const { count, channels, height, width } = split_;
  const read = ({ name, sha256: expected }: z.infer<typeof file>, size: number): Uint8Array => {
    const path = join(folder, name);
    const bytes = statSync(path, { throwIfNoEntry: false })?.isFile()
      ? plainBytes(readFileSync(path))
      : undefined;
    if (bytes === undefined) problems.push(`${path} is missing`);
    else if (bytes.length !== size) problems.push(`${path} has ${bytes.length} bytes, expected ${size}`);
    else if (sha256(bytes) !== expected) problems.push(`${path} is damaged: its SHA-256 is not ${expected}`);
    return bytes ?? new Uint8Array();
  };
  const images = read(split_.images, count * channels * height * width);
  const labels = read(split_.labels, count);
  return { images, labels, count, channels, height, width };
}
