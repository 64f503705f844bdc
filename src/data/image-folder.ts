// Images of one's own: `train/<class>/*.png|jpg|jpeg` and `test/<class>/…`, or only `<class>/…`, of which a
// fifth of each class becomes the test split. Everything is decoded into memory, resized where asked.
import { createHash } from "node:crypto";
import { existsSync, readdirSync, statSync } from "node:fs";
import { extname, join } from "node:path";
import { UserError } from "../errors.ts";
import { readBytes } from "../files.ts";
import type { ImageDataset, ImageSet } from "./dataset.ts";
import { decodeImage } from "./decode-image.ts";
import { megabytes } from "./disk.ts";
import type { Report } from "./download.ts";
import type { DatasetEntry } from "./entry.ts";
import { type Pixels, resizeInto } from "./resize.ts";
import { channelStatistics } from "./statistics.ts";

const ENDINGS = [".png", ".jpg", ".jpeg"];
const LAYOUT =
  "Expected <path>/train/<class>/*.png and <path>/test/<class>/*.png (or .jpg, .jpeg), or <path>/<class>/*.png";
const MOST_CLASSES = 65_535; // labels are at most 16 bits wide
const TEST_SHARE = 0.2;

/** The table row of a folder of images. */
export const IMAGE_FOLDER: DatasetEntry = {
  name: "folder",
  description: "images of your own: <path>/train/<class>/* and <path>/test/<class>/*, or <path>/<class>/*",
  bytes: 0,
  async get() {
    throw new UserError("There is nothing to fetch for a folder of images: name it with data.path.");
  },
  async load({ path, imageSize, report }) {
    if (path === null)
      throw new UserError(`data.path is not set. data.name: folder reads images from there. ${LAYOUT}.`);
    return loadImageFolder(path, { imageSize, report });
  },
  async verify() {
    return { state: "absent", folder: "", problems: [] };
  },
};

/**
 * Reads a folder of images, all grey or all RGB; images of other sizes are stretched to
 * `imageSize`×`imageSize`. Mean and deviation are computed from the training images.
 */
export function loadImageFolder(
  path: string,
  { imageSize = null, report = () => {} }: { imageSize?: number | null; report?: Report } = {},
): ImageDataset {
  if (!existsSync(path) || !statSync(path).isDirectory()) {
    throw new UserError(`data.path ${path} is no folder. ${LAYOUT}.`);
  }
  const { classes, train, test } = findImages(path, report);
  const reader = createReader(train[0].path, imageSize);
  const bytes = reader.bytes * (train.length + test.length);
  report(
    `Reading ${train.length} + ${test.length} images of ${classes.length} classes (${megabytes(bytes)} in memory)`,
  );
  const trainSet = reader.read(train, classes.length);
  const testSet = reader.read(test, classes.length);
  return { name: "folder", classes, ...channelStatistics(trainSet), train: trainSet, test: testSet };
}

interface LabelledFile {
  readonly path: string;
  readonly label: number;
}

interface Found {
  readonly classes: string[];
  readonly train: LabelledFile[];
  readonly test: LabelledFile[];
}

function findImages(path: string, report: Report): Found {
  const levels = ["train", "test"].filter((name) => folders(join(path, name)).length > 0);
  if (levels.length === 1) {
    const other = levels[0] === "train" ? "test" : "train";
    throw new UserError(`${path} has ${levels[0]}/ with classes in it but no ${other}/. ${LAYOUT}.`);
  }
  const classes = folders(levels.length === 2 ? join(path, "train") : path);
  if (classes.length < 2) {
    throw new UserError(
      `${path} holds ${classes.length} folders of images; at least 2 classes are needed. ${LAYOUT}.`,
    );
  }
  if (classes.length > MOST_CLASSES) {
    throw new UserError(
      `${path} holds ${classes.length} classes; at most ${MOST_CLASSES} can be told apart.`,
    );
  }
  if (levels.length === 0) return splitByName(path, classes, report);
  requireSameClasses(path, classes, folders(join(path, "test")));
  const list = (level: string) =>
    classes.flatMap((name, label) =>
      imagesOf(join(path, level, name), report).map((file) => ({
        path: join(path, level, name, file),
        label,
      })),
    );
  return { classes, train: list("train"), test: list("test") };
}

/**
 * A fifth of each class, at least one image, becomes the test split: those whose names' hashes come first.
 * The run's seed has no part in it, so that no run trains on what another one tests on, and adding or removing
 * an image moves hardly any other.
 */
function splitByName(path: string, classes: string[], report: Report): Found {
  const found: Found = { classes, train: [], test: [] };
  for (const [label, name] of classes.entries()) {
    const files = imagesOf(join(path, name), report);
    if (files.length < 2) {
      throw new UserError(
        `${join(path, name)} holds one image; a class needs one to train on and one to test with. Add images.`,
      );
    }
    const order = files.map((file) => ({
      file,
      key: createHash("sha256").update(`${name}/${file}`).digest("hex"),
    }));
    order.sort((a, b) => (a.key < b.key ? -1 : 1));
    const tested = new Set(
      order.slice(0, Math.max(1, Math.round(TEST_SHARE * files.length))).map(({ file }) => file),
    );
    for (const file of files) {
      found[tested.has(file) ? "test" : "train"].push({ path: join(path, name, file), label });
    }
  }
  return found;
}

function requireSameClasses(path: string, train: string[], test: string[]): void {
  const only = (some: string[], others: string[]) => {
    const known = new Set(others);
    return some.filter((name) => !known.has(name));
  };
  const [missing, extra] = [only(train, test), only(test, train)];
  if (missing.length > 0)
    throw new UserError(`${path}: the class ${missing[0]} is in train/ but not in test/.`);
  if (extra.length > 0) throw new UserError(`${path}: the class ${extra[0]} is in test/ but not in train/.`);
}

/** Names of the folders in `path`, sorted by code unit so that labels do not depend on the locale. */
function folders(path: string): string[] {
  if (!existsSync(path) || !statSync(path).isDirectory()) return [];
  return visible(path).filter((name) => statSync(join(path, name)).isDirectory());
}

function imagesOf(folder: string, report: Report): string[] {
  const names = visible(folder);
  const images = names.filter((name) => ENDINGS.includes(extname(name).toLowerCase()));
  if (images.length === 0) {
    throw new UserError(`${folder} holds no images (${ENDINGS.join(", ")}). Add some or remove the folder.`);
  }
  const ignored = names.length - images.length;
  if (ignored > 0) report(`${folder}: ${ignored} entries that are not ${ENDINGS.join(", ")} are left out`);
  return images;
}

function visible(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => !name.startsWith("."))
    .sort();
}

/** Reads files into one block; the first training image says the channels and, where not asked, the size. */
function createReader(first: string, imageSize: number | null) {
  const model = decodeImage(readBytes(first, "an image"), first);
  const { channels } = model;
  if (imageSize === null && model.width !== model.height) {
    throw new UserError(
      `${first} is ${model.width}×${model.height}, not square. Set data.imageSize to the side that all images shall have.`,
    );
  }
  const side = imageSize ?? model.width;
  const size = channels * side * side;
  return {
    bytes: size,
    read(files: readonly LabelledFile[], classes: number): ImageSet {
      const count = files.length;
      const images = new Uint8Array(count * size);
      const labels = classes <= 256 ? new Uint8Array(count) : new Uint16Array(count);
      for (const [n, { path, label }] of files.entries()) {
        const pixels = decodeImage(readBytes(path, "an image"), path);
        requireAlike(pixels, path, imageSize);
        resizeInto(pixels, side, images, n * size);
        labels[n] = label;
      }
      return { images, labels, count, channels, height: side, width: side };
    },
  };

  function requireAlike(pixels: Pixels, path: string, asked: number | null): void {
    if (pixels.channels !== channels) {
      const kind = (n: number) => (n === 1 ? "grey" : "RGB");
      throw new UserError(
        `${first} is ${kind(channels)} and ${path} is ${kind(pixels.channels)}; expected one kind. Convert one of them.`,
      );
    }
    if (asked === null && (pixels.width !== side || pixels.height !== side)) {
      throw new UserError(
        `${first} is ${side}×${side} and ${path} is ${pixels.width}×${pixels.height}. ` +
          "Set data.imageSize to the side that all images shall have.",
      );
    }
  }
}
