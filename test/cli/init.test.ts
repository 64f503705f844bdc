// `darts init` by the real command: what it says of a folder, and that `darts run` takes what it wrote.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { encode } from "fast-png";
import { encode as encodeJpeg } from "jpeg-js";
import { resolveConfig } from "../../src/config/load.ts";
import { readHeader } from "../../src/data/image-header.ts";
import { inspectImages } from "../../src/library/inspect-images.ts";
import { suggestConfig } from "../../src/library/suggest-config.ts";
import { createGenerator } from "../../src/random/generator.ts";
import { commandLine } from "./command-line.ts";

const { folder, darts, remove } = commandLine();
after(remove);

interface Images {
  readonly count: number;
  readonly height?: number;
  readonly width?: number;
  readonly channels?: number;
}

/** Writes noise as PNG files; returns the folder's path. */
function images(name: string, classes: Readonly<Record<string, Images>>): string {
  const path = join(folder, name);
  const generator = createGenerator(3, name);
  for (const [label, { count, height = 8, width = 8, channels = 1 }] of Object.entries(classes)) {
    mkdirSync(join(path, label), { recursive: true });
    for (let n = 0; n < count; n++) {
      const data = Uint8Array.from({ length: height * width * channels }, () => generator.int(0, 255));
      writeFileSync(join(path, label, `${n}.png`), encode({ width, height, channels, depth: 8, data }));
    }
  }
  return path;
}

const suggested = (path: string) => {
  const file = join(path, "..", `${Math.random()}.yaml`);
  const text = suggestConfig(inspectImages(path));
  writeFileSync(file, text);
  return { text, config: resolveConfig({ file }) };
};

test("init writes settings with reasons, and run takes them as they are", () => {
  images("grey", { cat: { count: 30 }, dog: { count: 10 } });
  const { code, stdout, stderr } = darts(["init", "grey"]);
  assert.deepEqual([code, stderr], [0, ""]);
  assert.match(stdout, /2 classes, 32 \+ 8 images\. Wrote darts\.yaml: size as it is/);
  const text = readFileSync(join(folder, "darts.yaml"), "utf8");
  for (const line of [
    /^# +cat: 24 \+ 6$/m,
    /^# +dog: 8 \+ 2$/m,
    /^# Imbalanced: .* 3\.0 times as many/m,
    /^# Height × width: 8×8 \(40\)$/m,
    /^ {2}imageSize: null # all images are 8×8/m,
    /^ {2}channels: 1 # all images are grey/m,
    /^ {2}testShare: 0\.2 #/m,
  ])
    assert.match(text, line);
  const keys = text.split("\n").filter((line) => /^ {2}\w+:/.test(line));
  assert.ok(keys.filter((line) => line.includes(" # ")).length >= 15, "nearly every key has its reason");
  const small = [
    "search.epochs=1",
    "train.epochs=1",
    "search.channels=2",
    "train.channels=2",
    "search.cells=3",
  ];
  const sets = small.flatMap((assignment) => ["--set", assignment]);
  const run = darts(["run", "--config", "darts.yaml", ...sets, "--json"]);
  assert.equal(run.code, 0, run.stderr);
  const { data } = JSON.parse(run.stdout) as { data: Record<string, unknown> };
  assert.deepEqual(
    [data["train"], data["test"], data["imbalance"], data["channels"]],
    [[24, 8], [6, 2], 3, 1],
  );
  assert.match(run.stderr, /Images by class: train: cat 24, dog 8; test: cat 6, dog 2/);
  assert.match(run.stderr, /Imbalanced classes: .*cat \(24\).*dog \(8\), 3\.0 times/);
});

test("large images are made small, wide ones stay wide, mixed ones become RGB", () => {
  const large = suggested(
    images("large", { a: { count: 3, height: 90, width: 100 }, b: { count: 3, height: 96, width: 96 } }),
  );
  assert.deepEqual([large.config.data.imageSize, large.config.data.imageWidth], [64, null]);
  const wide = suggested(
    images("wide", { a: { count: 3, height: 30, width: 90 }, b: { count: 3, height: 30, width: 88 } }),
  );
  assert.deepEqual([wide.config.data.imageSize, wide.config.data.imageWidth], [24, 64]);
  const mixed = suggested(images("mixed", { a: { count: 3 }, b: { count: 3, channels: 4 } }));
  assert.equal(mixed.config.data.channels, 3);
  assert.match(mixed.text, /3 grey images are made RGB/);
  assert.match(mixed.text, /3 grey, 3 in colour, 3 with an alpha channel/);
});

test("more images get fewer epochs and larger batches", () => {
  const few = suggested(images("few", { a: { count: 20 }, b: { count: 20 } })).config;
  const inspection = inspectImages(join(folder, "few"));
  const file = join(folder, "many.yaml");
  writeFileSync(file, suggestConfig({ ...inspection, train: [30_000, 30_000], test: [100, 100] }));
  const many = resolveConfig({ file });
  assert.ok(many.search.epochs < few.search.epochs && many.train.epochs < few.train.epochs);
  assert.ok(many.search.batchSize > few.search.batchSize);
});

test("init refuses to overwrite, and a folder that holds no classes or a file that is no image", () => {
  const path = images("again", { a: { count: 2 }, b: { count: 2 } });
  writeFileSync(join(folder, "mine.yaml"), "seed: 1\n");
  const cases: [args: string[], message: RegExp][] = [
    [["again", "--out", "mine.yaml"], /mine\.yaml is already there\. Nothing is overwritten/],
    [["nowhere", "--out", "new.yaml"], /nowhere is no folder/],
    [["again/a", "--out", "new.yaml"], /holds 0 folders of images/],
    [["again", "--out", "no/such/new.yaml"], /Cannot write no\/such\/new\.yaml/],
  ];
  for (const [args, message] of cases) {
    const { code, stdout, stderr } = darts(["init", ...args]);
    assert.match(stderr, message);
    assert.deepEqual([code, stdout], [2, ""]);
  }
  assert.equal(readFileSync(join(folder, "mine.yaml"), "utf8"), "seed: 1\n");
  writeFileSync(join(path, "b", "1.png"), "no image");
  const { code, stderr } = darts(["init", "again", "--out", "new.yaml"]);
  assert.match(stderr, /b\/1\.png is neither a PNG nor a JPEG image/);
  assert.equal(code, 2);
});

test("a header tells the size and kind that decoding would", () => {
  for (const [channels, kind] of [
    [1, { channels: 1, alpha: false }],
    [2, { channels: 1, alpha: true }],
    [3, { channels: 3, alpha: false }],
    [4, { channels: 3, alpha: true }],
  ] as const) {
    const png = encode({ width: 5, height: 3, channels, depth: 8, data: new Uint8Array(15 * channels) });
    assert.deepEqual(readHeader(png, "x"), { width: 5, height: 3, ...kind });
  }
  const jpeg = encodeJpeg({ width: 21, height: 9, data: new Uint8Array(21 * 9 * 4) }, 80).data;
  assert.deepEqual(readHeader(jpeg, "x"), { width: 21, height: 9, channels: 3, alpha: false });
  for (let length = 2; length < 33; length++) {
    for (const bytes of [
      jpeg,
      encode({ width: 5, height: 3, channels: 1, depth: 8, data: new Uint8Array(15) }),
    ])
      assert.throws(() => readHeader(bytes.subarray(0, length), "cut.png"), {
        name: "UserError",
        message: /cut\.png cannot be read/,
      });
  }
});
