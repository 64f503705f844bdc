import assert from "node:assert/strict";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { encode as encodePng } from "fast-png";
import { encode as encodeJpeg } from "jpeg-js";
import { countsText, imbalanceWarning, summarize } from "../../src/data/class-counts.ts";
import { loadImageFolder } from "../../src/data/image-folder.ts";
import { searchSplits, subset, type View } from "../../src/data/splits.ts";
import { channelStatistics } from "../../src/data/statistics.ts";
import { createGenerator } from "../../src/random/generator.ts";
import { temporaryFolder, writeFiles } from "./fixtures.ts";

/** A PNG of one value. */
function plain(value: number, { width = 4, height = 4, channels = 3 } = {}): Uint8Array {
  const data = new Uint8Array(width * height * channels).fill(value);
  return encodePng({ width, height, channels, depth: 8, data });
}

function folderOf(context: TestContext, files: Record<string, Uint8Array | string>): string {
  const path = temporaryFolder(context);
  writeFiles(path, new Map(Object.entries(files)));
  return path;
}

const four = () => ({
  "train/cat/a.png": plain(10),
  "train/dog/a.png": plain(20),
  "test/cat/a.png": plain(30),
  "test/dog/a.png": plain(40),
});

test("classes are the folders in order, and statistics come from the training images", (context) => {
  const path = folderOf(context, { ...four(), "train/dog/b.PNG": plain(25) });
  const dataset = loadImageFolder(path);
  assert.deepEqual(dataset.classes, ["cat", "dog"]);
  assert.deepEqual([...dataset.train.labels], [0, 1, 1]);
  assert.deepEqual([...dataset.test.labels], [0, 1]);
  assert.deepEqual([dataset.train.channels, dataset.train.height, dataset.train.width], [3, 4, 4]);
  assert.deepEqual(
    [0, 48, 96].map((i) => dataset.train.images[i]),
    [10, 20, 25],
  );
  const mean = (10 + 20 + 25) / 3 / 255;
  for (const value of dataset.mean) assert.ok(Math.abs(value - mean) < 1e-12);
  assert.deepEqual({ mean: dataset.mean, std: dataset.std }, channelStatistics(dataset.train));
});

test("a channel of one value has the deviation 1 and not 0", (context) => {
  const black = Object.fromEntries(Object.keys(four()).map((name) => [name, plain(0)]));
  const { mean, std } = loadImageFolder(folderOf(context, black));
  assert.deepEqual({ mean, std }, { mean: [0, 0, 0], std: [1, 1, 1] });
});

test("without train and test folders a fifth of each class is tested on, always the same fifth", (context) => {
  const files: Record<string, Uint8Array> = {};
  for (let i = 0; i < 30; i++) files[`${i < 20 ? "cat" : "dog"}/${i}.png`] = plain(i);
  const path = folderOf(context, files);
  const { train, test: tested } = loadImageFolder(path);
  const counts = (labels: Iterable<number>) =>
    [0, 1].map((label) => [...labels].filter((l) => l === label).length);
  assert.deepEqual(counts(train.labels), [16, 8]);
  assert.deepEqual(counts(tested.labels), [4, 2]);
  const values = (set: typeof train) => Array.from({ length: set.count }, (_, n) => set.images[n * 48]);
  assert.deepEqual(
    [...values(train), ...values(tested)].sort((a, b) => a - b),
    Array.from({ length: 30 }, (_, i) => i),
  );
  assert.deepEqual(values(loadImageFolder(path).test), values(tested));
  // Removing a training image moves no other image across.
  rmSync(join(path, "cat", `${values(train)[0]}.png`));
  assert.deepEqual(values(loadImageFolder(path).test), values(tested));
});

test("images of any size and kind are stretched to the asked size", (context) => {
  const jpeg = encodeJpeg({ width: 10, height: 7, data: new Uint8Array(280).fill(255) }, 90).data;
  const path = folderOf(context, {
    ...four(),
    "train/cat/b.jpg": jpeg,
    "train/dog/c.png": plain(7, { width: 3, height: 9 }),
  });
  const { train } = loadImageFolder(path, { imageSize: 6 });
  assert.deepEqual([train.count, train.height, train.width], [4, 6, 6]);
  assert.deepEqual(
    Array.from({ length: 4 }, (_, n) => train.images[n * 108 + 50]),
    [10, 255, 20, 7],
  );
});

test("images that are not square stay so, or are stretched to the asked height and width", (context) => {
  const wide = Object.fromEntries(
    Object.keys(four()).map((name) => [name, plain(9, { width: 7, height: 3 })]),
  );
  const path = folderOf(context, wide);
  for (const [asked, height, width] of [
    [{}, 3, 7],
    [{ imageSize: 4, imageWidth: 6 }, 4, 6],
    [{ imageSize: 5 }, 5, 5],
  ] as const) {
    const { train } = loadImageFolder(path, asked);
    assert.deepEqual([train.height, train.width], [height, width]);
    assert.deepEqual([...train.images], new Array(2 * 3 * height * width).fill(9));
  }
  assert.throws(() => loadImageFolder(path, { imageWidth: 6 }), {
    name: "UserError",
    message: /data\.imageWidth is set without data\.imageSize/,
  });
});

test("images are converted to grey, RGB or RGBA as asked, whatever they are", (context) => {
  const pixel = (...data: number[]) =>
    encodePng({ width: 1, height: 1, channels: data.length, depth: 8, data: Uint8Array.from(data) });
  const path = folderOf(context, {
    "train/a/1-grey.png": pixel(100),
    "train/a/2-grey-alpha.png": pixel(100, 7),
    "train/b/3-rgb.png": pixel(10, 20, 30),
    "train/b/4-rgba.png": pixel(10, 20, 30, 40),
    "test/a/1.png": pixel(0),
    "test/b/1.png": pixel(0),
  });
  const luma = Math.round(0.299 * 10 + 0.587 * 20 + 0.114 * 30);
  const wanted: Record<number, number[]> = {
    1: [100, 100, luma, luma],
    3: [100, 100, 100, 100, 100, 100, 10, 20, 30, 10, 20, 30],
    4: [100, 100, 100, 255, 100, 100, 100, 7, 10, 20, 30, 255, 10, 20, 30, 40],
  };
  for (const [channels, values] of Object.entries(wanted)) {
    const { train, mean } = loadImageFolder(path, { channels: Number(channels) });
    assert.equal(train.channels, Number(channels));
    assert.equal(mean.length, Number(channels));
    assert.deepEqual([...train.images], values);
  }
  assert.throws(() => loadImageFolder(path), { message: /Set data\.channels to 1 or 3/ });
});

test("the images of valid/ move the architecture, those of train/ the weights, also in a part of them", (context) => {
  const files: Record<string, Uint8Array> = { ...four() };
  for (let i = 0; i < 6; i++) files[`train/cat/more-${i}.png`] = plain(50 + i);
  for (let i = 0; i < 4; i++) files[`valid/${i < 3 ? "cat" : "dog"}/${i}.png`] = plain(200 + i);
  const lines: string[] = [];
  const { train } = loadImageFolder(folderOf(context, files), { report: (line) => lines.push(line) });
  assert.deepEqual([train.count, train.validFrom], [12, 8]);
  assert.match(lines.join("\n"), /data\.weightsShare is not used/);
  const values = ({ set, indices }: View) => Array.from(indices, (index) => set.images[index * 48]);
  for (const set of [train, subset(train, 7, createGenerator(3))]) {
    const { weights, architecture } = searchSplits({ train: set }, { seed: 1, weightsShare: 0.9 });
    assert.equal(weights.indices.length + architecture.indices.length, set.count);
    assert.ok(values(weights).every((value) => value < 100));
    assert.ok(values(architecture).every((value) => value >= 200) && architecture.indices.length > 0);
  }
});

test("testShare says how many images are tested on, splitSeed which", (context) => {
  const files: Record<string, Uint8Array> = {};
  for (let i = 0; i < 40; i++) files[`${i < 20 ? "cat" : "dog"}/${i}.png`] = plain(i);
  const path = folderOf(context, files);
  const tested = (asked: Parameters<typeof loadImageFolder>[1]) => {
    const { test: set } = loadImageFolder(path, asked);
    return Array.from({ length: set.count }, (_, n) => set.images[n * 48]);
  };
  assert.equal(tested({ testShare: 0.5 }).length, 20);
  assert.equal(tested({ testShare: 0.99 }).length, 38, "one of each class is left to train on");
  assert.deepEqual(tested({ splitSeed: 0 }), tested({}));
  assert.deepEqual(tested({ splitSeed: 7 }), tested({ splitSeed: 7 }));
  assert.notDeepEqual(tested({ splitSeed: 7 }), tested({}));
});

test("classes are counted, and a warning names the largest and the smallest from a ratio of 2 on", (context) => {
  const files: Record<string, Uint8Array> = { ...four() };
  assert.equal(imbalanceWarning(summarize(loadImageFolder(folderOf(context, files)))), undefined);
  for (let i = 0; i < 4; i++) files[`train/cat/more-${i}.png`] = plain(50);
  const summary = summarize(loadImageFolder(folderOf(context, files)));
  assert.deepEqual([summary.train, summary.test, summary.imbalance], [[5, 1], [1, 1], 5]);
  assert.equal(countsText(summary), "train: cat 5, dog 1; test: cat 1, dog 1");
  assert.match(imbalanceWarning(summary) ?? "", /are of cat \(5\), fewest of dog \(1\), 5\.0 times as many/);
});

test("files that are no images are left out and told, hidden ones are left out", (context) => {
  const lines: string[] = [];
  const path = folderOf(context, {
    ...four(),
    "train/cat/notes.txt": "x",
    "train/cat/.hidden": "x",
    ".git/config": "x",
  });
  assert.equal(loadImageFolder(path, { report: (line) => lines.push(line) }).train.count, 2);
  assert.match(lines[0], /cat: 1 entries that are not \.png, \.jpg, \.jpeg are left out/);
});

const rejected: Record<string, [files: Record<string, Uint8Array | string>, message: RegExp]> = {
  "an empty folder": [{}, /holds 0 folders of images.*Expected <path>\/train\/<class>/],
  "one class": [{ "cat/a.png": plain(1), "cat/b.png": plain(1) }, /holds 1 folders of images/],
  "a training level without a test level": [
    { "train/cat/a.png": plain(1) },
    /train\/ with classes in it but no test\//,
  ],
  "a class that is only trained": [
    { ...four(), "train/owl/a.png": plain(1) },
    /class owl is in train\/ but not in test\//,
  ],
  "a class that is only tested": [
    { ...four(), "test/owl/a.png": plain(1) },
    /class owl is in test\/ but not in train\//,
  ],
  "a class with one image to split": [
    { "cat/a.png": plain(1), "dog/a.png": plain(1) },
    /cat holds one image/,
  ],
  "grey among RGB, naming both": [
    { ...four(), "test/dog/grey.png": plain(1, { channels: 1 }) },
    /train\/cat\/a\.png is RGB and .*test\/dog\/grey\.png is grey/,
  ],
  "two sizes, naming both": [
    { ...four(), "train/dog/big.png": plain(1, { width: 5, height: 5 }) },
    /train\/cat\/a\.png is 4×4 and .*train\/dog\/big\.png is 5×5\. Set data\.imageSize/,
  ],
  "a class that is not validated": [
    { ...four(), "valid/cat/a.png": plain(1) },
    /class dog is in train\/ but not in valid\//,
  ],
  "a damaged image, by name": [
    { ...four(), "train/dog/bad.png": plain(1).subarray(0, 40) },
    /train\/dog\/bad\.png cannot be read/,
  ],
};

for (const [what, [files, message]] of Object.entries(rejected)) {
  test(`a folder of images is refused for ${what}`, (context) => {
    assert.throws(() => loadImageFolder(folderOf(context, files)), { name: "UserError", message });
  });
}

test("a folder of images is refused for a class without images and for not being there", (context) => {
  const path = folderOf(context, four());
  mkdirSync(join(path, "train", "owl"));
  mkdirSync(join(path, "test", "owl"));
  assert.throws(() => loadImageFolder(path), { name: "UserError", message: /owl holds no images/ });
  assert.throws(() => loadImageFolder(join(path, "none")), {
    name: "UserError",
    message: /none is no folder/,
  });
});
