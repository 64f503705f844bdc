// Runs on images that are not square, of four channels, with a validation folder of their own, by the real command;
// and a trained network measured on other images than the run's.
import assert from "node:assert/strict";
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { encode } from "fast-png";
import { createGenerator } from "../../src/random/generator.ts";
import { readEvents } from "../../src/run/events.ts";
import { commandLine } from "./command-line.ts";

const { folder, darts, remove } = commandLine();
after(remove);

const SETTINGS = `
threads: 1
data: { name: folder, path: own, channels: 4, cropPadding: 1 }
space: { nodes: 2, stemMultiplier: 1, primitives: [none, skip_connect, sep_conv_3x3, max_pool_3x3] }
search: { channels: 2, cells: 3, epochs: 1, batchSize: 8 }
train: { channels: 2, cells: 3, epochs: 1, batchSize: 8, cutout: 4, dropPath: 0.2, auxiliary: true }
`;

interface Format {
  readonly height?: number;
  readonly width?: number;
  readonly brightness?: number;
}

/** Writes `count` RGBA images below `path`. */
function write(path: string, count: number, { height = 9, width = 17, brightness = 0 }: Format = {}): void {
  const generator = createGenerator(5, path);
  for (let n = 0; n < count; n++) {
    const data = Uint8Array.from({ length: height * width * 4 }, () => brightness + generator.int(0, 100));
    const file = join(folder, path, `${n}.png`);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, encode({ width, height, channels: 4, depth: 8, data }));
  }
}

function json(args: readonly string[]): Record<string, unknown> {
  const { code, stdout, stderr } = darts([...args, "--json"]);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout) as Record<string, unknown>;
}

before(() => {
  writeFileSync(join(folder, "tiny.yaml"), SETTINGS);
  for (const [label, count] of [
    ["cat", 20],
    ["dog", 9],
  ] as const) {
    write(`own/train/${label}`, count);
    write(`own/valid/${label}`, 8);
    write(`own/test/${label}`, 5);
  }
  json(["run", "--config", "tiny.yaml", "--name", "first"]);
});

test("images of 9×17 with alpha run through search, auxiliary head and test; the log and the report count them", () => {
  const events = readEvents(join(folder, "runs/first/events.jsonl"));
  const { data } = events.find((event) => event.type === "run-start")!;
  assert.deepEqual([data.height, data.width, data.channels, data.mean.length], [9, 17, 4, 4]);
  assert.deepEqual([data.train, data.test, data.imbalance], [[28, 17], [5, 5], 28 / 17]);
  // 29 images of train/ for the weights in batches of 8; all 45 of train/ and valid/ train the derived network.
  assert.equal(events.filter((event) => event.type === "search-step").length, 4);
  assert.equal(events.filter((event) => event.type === "train-step" && event.cell === "found").length, 6);
});

test("a trained network is measured on other images, normalised as its own were", () => {
  const loss = (...args: string[]) => json(["test", "runs/first", ...args])["loss"] as number;
  for (const label of ["cat", "dog"]) {
    // The same test images, beside training images that are far brighter: their mean must play no part.
    write(`same/train/${label}`, 2, { brightness: 150 });
    cpSync(join(folder, "own/test", label), join(folder, "same/test", label), { recursive: true });
    write(`other/train/${label}`, 2);
    write(`other/test/${label}`, 5, { brightness: 50 });
  }
  assert.equal(loss("--data-path", "same"), loss());
  assert.notEqual(loss("--data-path", "other"), loss());
});

test("images of another size or of other classes are refused, with what makes them alike", () => {
  for (const label of ["cat", "dog"]) {
    for (const level of ["train", "test"]) {
      write(`large/${level}/${label}`, 2, { height: 12, width: 12 });
      write(`classes/${level}/${label === "dog" ? "owl" : label}`, 2);
    }
  }
  const large = darts(["test", "runs/first", "--data-path", "large"]);
  assert.match(
    large.stderr,
    /images are 12×12×4 .* runs\/first was trained on 9×17×4\. .*--data-image-size 9 --data-image-width 17 --data-channels 4/,
  );
  const classes = darts(["test", "runs/first", "--data-path", "classes"]);
  assert.match(classes.stderr, /have the classes cat, owl, but runs\/first was trained on cat, dog/);
  assert.deepEqual([large.code, classes.code], [2, 2]);
  const converted = ["--data-image-size", "9", "--data-image-width", "17", "--data-channels", "4"];
  assert.equal(json(["test", "runs/first", "--data-path", "large", ...converted])["images"], 4);
});

test("settings that the images cannot have are refused before a folder is made", () => {
  const refused: [args: string[], message: RegExp][] = [
    [
      ["--data-channels", "2"],
      /data\.channels: expected 1 \(grey\), 3 \(RGB\) or 4 \(RGB and alpha\), got 2/,
    ],
    [["--data-image-width", "20"], /data\.imageWidth is set without data\.imageSize/],
    [["--data-test-share", "1"], /data\.testShare: expected a number, above 0 and below 1/],
    [
      ["--data-image-size", "4", "--data-image-width", "40"],
      /4×40 pixels are too small for the auxiliary head: it sees 1×10/,
    ],
  ];
  for (const [args, message] of refused) {
    const { code, stderr } = darts(["run", "--config", "tiny.yaml", ...args]);
    assert.match(stderr, message);
    assert.equal(code, 2);
  }
});
