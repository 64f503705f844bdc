// Images of one's own, from a folder (see image-files.ts) into memory: decoded, resized and with the channels
// that are asked for.
import { UserError } from "../errors.ts";
import { readBytes } from "../files.ts";
import { withChannels } from "./channels.ts";
import type { ImageDataset, ImageSet } from "./dataset.ts";
import { decodeImage } from "./decode-image.ts";
import { megabytes } from "./disk.ts";
import type { Report } from "./download.ts";
import { AS_THEY_ARE, type DatasetEntry, type ImageFormat } from "./entry.ts";
import { findImages, LAYOUT, type LabelledFile } from "./image-files.ts";
import { type Pixels, resizeInto, type Size } from "./resize.ts";
import { channelStatistics } from "./statistics.ts";

/** The table row of a folder of images. */
export const IMAGE_FOLDER: DatasetEntry = {
  name: "folder",
  description: "images of your own: <path>/train/<class>/* and <path>/test/<class>/*, or <path>/<class>/*",
  bytes: 0,
  async get() {
    throw new UserError("There is nothing to fetch for a folder of images: name it with data.path.");
  },
  async load({ path, signal, ...options }) {
    if (path === null)
      throw new UserError(`data.path is not set. data.name: folder reads images from there. ${LAYOUT}.`);
    const reading = readImageFolder(path, options);
    for (;;) {
      const { done, value } = reading.next();
      if (done) return value;
      // Many images take minutes: a signal gets its turn between them.
      await new Promise((resolve) => setImmediate(resolve));
      signal?.throwIfAborted();
    }
  },
  async verify() {
    return { state: "yours", folder: "", problems: [] };
  },
};

/**
 * Reads a folder of images. Without an asked size or number of channels all images must be alike; otherwise they
 * are stretched and converted. Mean and deviation are computed from the images of `train/` and `valid/`.
 */
export function loadImageFolder(path: string, options: ReadOptions = {}): ImageDataset {
  const reading = readImageFolder(path, options);
  for (;;) {
    const { done, value } = reading.next();
    if (done) return value;
  }
}

type ReadOptions = Partial<ImageFormat> & { readonly report?: Report };

/** Images are read one after the other; in between it can be left. */
function* readImageFolder(
  path: string,
  { report = () => {}, ...asked }: ReadOptions,
): Generator<void, ImageDataset> {
  const format = { ...AS_THEY_ARE, ...asked };
  if (format.imageWidth !== null && format.imageSize === null) {
    throw new UserError(
      "data.imageWidth is set without data.imageSize: set that too, to the height in pixels.",
    );
  }
  const { classes, train, valid, test } = findImages(path, format, report);
  const reader = createReader(train[0].path, format);
  const bytes = reader.bytes * (train.length + (valid?.length ?? 0) + test.length);
  const counts = [train, ...(valid ? [valid] : []), test].map(({ length }) => length);
  report(`Reading ${counts.join(" + ")} images of ${classes.length} classes (${megabytes(bytes)} in memory)`);
  if (valid) report("The images of valid/ move the architecture in a search; data.weightsShare is not used.");
  const trainSet = yield* reader.read([...train, ...(valid ?? [])], classes.length);
  const testSet = yield* reader.read(test, classes.length);
  return {
    name: "folder",
    classes,
    ...channelStatistics(trainSet),
    train: valid ? { ...trainSet, validFrom: train.length } : trainSet,
    test: testSet,
  };
}

/** Reads files into one block; the first training image says the size and the channels that are not asked for. */
function createReader(first: string, { imageSize, imageWidth, channels: asked }: ImageFormat) {
  const open = (path: string): Pixels => {
    const pixels = decodeImage(readBytes(path, "an image"), path, { alpha: asked === 4 });
    return asked === null ? pixels : withChannels(pixels, asked);
  };
  const { channels, height, width } = open(first);
  const size: Size =
    imageSize === null ? { height, width } : { height: imageSize, width: imageWidth ?? imageSize };
  const bytes = channels * size.height * size.width;
  return {
    bytes,
    *read(files: readonly LabelledFile[], classes: number): Generator<void, ImageSet> {
      const count = files.length;
      const images = new Uint8Array(count * bytes);
      const labels = classes <= 256 ? new Uint8Array(count) : new Uint16Array(count);
      for (const [n, { path, label }] of files.entries()) {
        const pixels = open(path);
        requireAlike(pixels, path);
        resizeInto(pixels, size, images, n * bytes);
        labels[n] = label;
        yield;
      }
      return { images, labels, count, channels, ...size };
    },
  };

  function requireAlike(pixels: Pixels, path: string): void {
    if (pixels.channels !== channels) {
      const kind = (n: number) => (n === 1 ? "grey" : "RGB");
      throw new UserError(
        `${first} is ${kind(channels)} and ${path} is ${kind(pixels.channels)}; expected one kind. ` +
          "Set data.channels to 1 or 3: the others are then converted.",
      );
    }
    if (imageSize === null && (pixels.width !== width || pixels.height !== height)) {
      throw new UserError(
        `${first} is ${width}×${height} and ${path} is ${pixels.width}×${pixels.height}. ` +
          "Set data.imageSize (and data.imageWidth, if not square) to the size that all images shall have.",
      );
    }
  }
}
