// The whole job by the real command in a temporary folder: search, derive, train, test, and what is left on the disk.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { resolveConfig } from "../../src/config/load.ts";
import { parseGenotype } from "../../src/genotype/parse.ts";
import { findGenotype } from "../../src/genotype/published.ts";
import { type LoggedEvent, readEvents } from "../../src/run/events.ts";
import { loadSafetensors } from "../../src/run/safetensors.ts";
import { commandLine, type Result } from "./command-line.ts";
import { TINY_SETTINGS, writeTinyImages } from "./tiny-run.ts";

const BIN = fileURLToPath(new URL("../../../bin/darts.mjs", import.meta.url));
const { folder, darts, remove } = commandLine();
after(remove);

const WITH_SETTINGS = ["--config", "tiny.yaml"];

let first: Record<string, unknown>;
before(() => {
  writeFileSync(join(folder, "tiny.yaml"), TINY_SETTINGS);
  writeTinyImages(join(folder, "images"));
  first = json(["run", ...WITH_SETTINGS, "--name", "first"]);
});

const inRun = (...path: string[]) => join(folder, "runs", ...path);
const eventsOf = (run: string): LoggedEvent[] => readEvents(inRun(run, "events.jsonl"));

test("run prints one object with the outcome of the search and of each training", () => {
  assert.deepEqual(Object.keys(first), [
    "search",
    "trained",
    "run",
    "data",
    "testImages",
    "testOpenedBy",
    "health",
  ]);
  assert.equal(first["run"], join("runs", "first"));
  const { genotype, validAccuracy, epochs } = first["search"] as Record<string, unknown>;
  assert.deepEqual(genotype, parseGenotype(JSON.stringify(genotype)));
  assert.ok((validAccuracy as number) >= 0 && (validAccuracy as number) <= 1);
  assert.equal(epochs, 2);
  const trained = first["trained"] as Record<string, unknown>[];
  assert.deepEqual(
    trained.map(({ cell }) => cell),
    ["found", "random-1"],
  );
  for (const { params, macs, last, best, bestEpoch, seconds } of trained) {
    assert.ok([params, macs, seconds].every((value) => (value as number) > 0));
    for (const measured of [last, best]) {
      const { loss, top1, top5, images } = measured as Record<string, number>;
      assert.ok(Number.isFinite(loss) && top1! >= 0 && top1! <= top5! && top5! <= 1);
      assert.equal(images, first["testImages"]);
    }
    assert.ok([0, 1].includes(bestEpoch as number));
  }
});

test("a run is a folder with everything that was asked, done and found", () => {
  const drawings = ["genotype.json", "genotype.txt", "normal.svg", "reduce.svg"];
  assert.deepEqual(
    readdirSync(inRun("first")).sort(),
    [
      ...[
        "alphas.svg",
        "checkpoints",
        "config.yaml",
        "events.jsonl",
        "found.safetensors",
        "report.json",
        "run.json",
      ],
      ...drawings,
      ...drawings.map((name) => `random-1-${name}`),
      "random-1.safetensors",
    ].sort(),
  );
  const names = ["search", "found", "random-1"].flatMap((name) =>
    ["best", "last", "previous"].map((which) => `${name}-${which}`),
  );
  assert.deepEqual(
    readdirSync(inRun("first", "checkpoints")).sort(),
    names.map((name) => `${name}.safetensors`).sort(),
  );
  const config = parse(readFileSync(inRun("first", "config.yaml"), "utf8"));
  assert.deepEqual(config, resolveConfig({ file: join(folder, "tiny.yaml") }));
  assert.deepEqual(JSON.parse(readFileSync(inRun("first", "report.json"), "utf8")), first);
  const { genotype } = first["search"] as { genotype: unknown };
  for (const file of ["genotype.json", "genotype.txt"])
    assert.deepEqual(parseGenotype(readFileSync(inRun("first", file), "utf8")), genotype);
  assert.match(readFileSync(inRun("first", "normal.svg"), "utf8"), /<svg.*<\/svg>/s);
});

test("the test images are opened for the final reports alone, and a search does not open them at all", () => {
  assert.deepEqual(first["testOpenedBy"], ["final report of found", "final report of random-1"]);
  assert.deepEqual(json(["search", ...WITH_SETTINGS, "--name", "searched"])["testOpenedBy"], []);
});

test("the log tells every step and epoch, with alphas, entropy, skips, genotype, times and memory", () => {
  const events = eventsOf("first");
  const count = (type: string) => events.filter((event) => event.type === type).length;
  // 39 training images: 19 for the weights in batches of 8, all for the training; two epochs each.
  assert.deepEqual(
    [
      "run-start",
      "search-step",
      "search-epoch",
      "derive",
      "train-step",
      "train-epoch",
      "report",
      "error",
    ].map(count),
    [1, 6, 2, 2, 20, 4, 1, 0],
  );
  assert.equal(events[0]?.type, "run-start");
  assert.equal(events.at(-1)?.type, "report");
  for (const [i, event] of events.entries())
    assert.ok(i === 0 || events[i - 1]!.time <= event.time, `event ${i} is not older than the one before`);
  for (const event of events) {
    if (event.type !== "search-epoch") continue;
    for (const cell of ["normal", "reduce"] as const) {
      assert.deepEqual(
        event.alphas[cell].map((row) => row.length),
        [4, 4, 4, 4, 4],
      );
      assert.ok(event.entropy[cell] > 0 && event.entropy[cell] <= Math.log(4));
      const skips: number = event.genotype[cell].filter(([op]) => op === "skip_connect").length;
      assert.equal(event.skipCount[cell], skips);
    }
    assert.ok(event.seconds > 0 && event.stepMs > 0 && event.rssMB > 0 && event.liveTensors > 0);
    assert.ok(event.peakMB! >= event.rssMB);
    assert.ok(Number.isFinite(event.validLoss) && Number.isFinite(event.trainLoss));
  }
  const drops = events.flatMap((event) =>
    event.type === "train-epoch" && event.cell === "found" ? [event.dropPath] : [],
  );
  assert.deepEqual(drops, [0, 0.1]);
});

test("the same command with the same seed leaves the same bytes", () => {
  json(["run", ...WITH_SETTINGS, "--name", "second"]);
  const checkpoints = readdirSync(inRun("first", "checkpoints")).map((name) => join("checkpoints", name));
  for (const file of [
    ...checkpoints,
    "genotype.json",
    "random-1-genotype.json",
    "found.safetensors",
    "config.yaml",
  ]) {
    const [a, b] = ["first", "second"].map((run) => readFileSync(inRun(run, file)));
    assert.ok(a!.equals(b!), file);
  }
  const alphas = (run: string) =>
    eventsOf(run).flatMap((event) => (event.type === "search-epoch" ? [event.alphas] : []));
  assert.deepEqual(alphas("second"), alphas("first"));
});

test("derive reads the last epoch's cell, or that of the epoch it is asked for", () => {
  const [early, late] = eventsOf("first").flatMap((event) => (event.type === "search-epoch" ? [event] : []));
  const last = json(["derive", join("runs", "first")]);
  assert.deepEqual(
    [last["epoch"], last["normal"], last["reduce"]],
    [1, late!.genotype.normal, late!.genotype.reduce],
  );
  assert.deepEqual(parseGenotype(last["genotype"] as string), late!.genotype);
  assert.deepEqual(json(["derive", join("runs", "first"), "--epoch", "0"])["normal"], early!.genotype.normal);
  assert.deepEqual(
    parseGenotype(readFileSync(inRun("first", "epoch-0-genotype.json"), "utf8")),
    early!.genotype,
  );
  assertMistake(darts(["derive", join("runs", "first"), "--epoch", "2"]), /has no epoch 2; expected 0 to 1/);
});

test("train takes the cell and the settings of a run, and its best state is measured again to the same numbers", () => {
  const report = json(["train", join("runs", "searched"), "--name", "trained", "--train-cells", "4"]);
  const [found] = report["trained"] as { genotype: unknown; best: object }[];
  assert.deepEqual(found!.genotype, parseGenotype(readFileSync(inRun("searched", "genotype.json"), "utf8")));
  assert.equal(resolveConfig({ file: inRun("trained", "config.yaml") }).search.channels, 2);
  const measured = json(["test", join("runs", "trained"), "--checkpoint", "best"]);
  const { loss, top1, top5, images } = measured;
  assert.deepEqual({ loss, top1, top5, images }, found!.best);
  assertMistake(
    darts(["test", join("runs", "searched")]),
    /has no trained network 'found'.*darts train runs\/searched/,
  );
});

test("train takes a published cell by name, and a random one that is that of a run with the same seed", () => {
  const short = ["--train-epochs", "1"];
  const [published] = json(["train", "DARTS_V2", ...WITH_SETTINGS, ...short])["trained"] as {
    genotype: unknown;
  }[];
  assert.deepEqual(published!.genotype, findGenotype("DARTS_V2"));
  const report = json(["train", "random", ...WITH_SETTINGS, ...short, "--name", "random"]);
  const [random] = report["trained"] as { cell: string; genotype: unknown }[];
  assert.equal(random!.cell, "random-1");
  assert.deepEqual(random!.genotype, (first["trained"] as { genotype: unknown }[])[1]!.genotype);
  assert.deepEqual(
    json(["show", join("runs", "random")])["normal"],
    (random!.genotype as { normal: unknown }).normal,
  );
});

test("one-level search trains on every image and validates on none", () => {
  const report = json(["search", ...WITH_SETTINGS, "--search-order", "joint", "--name", "joint"]);
  assert.equal((report["search"] as { validAccuracy: unknown }).validAccuracy, null);
  const steps = eventsOf("joint").filter((event) => event.type === "search-step");
  assert.equal(steps.length, 10); // 39 images in batches of 8, twice
});

test("grey images of an odd size with two classes run through", () => {
  writeTinyImages(join(folder, "grey"), { size: 25, channels: 1, classes: 2 });
  const report = json([
    "run",
    ...WITH_SETTINGS,
    "--data-path",
    "grey",
    "--train-random-cells",
    "0",
    "--train-epochs",
    "1",
  ]);
  assert.equal((report["trained"] as unknown[]).length, 1);
});

test("without --json the result is a summary for people on stdout, and progress is on stderr", () => {
  const { code, stdout, stderr } = darts([
    "run",
    ...WITH_SETTINGS,
    "--search-epochs",
    "1",
    "--train-epochs",
    "1",
  ]);
  assert.equal(code, 0, stderr);
  assert.match(
    stdout,
    /^normal cell\nnode 0 = .*Genotype\(normal=.*found .*random-1 .*Everything lies in runs\//s,
  );
  assert.doesNotMatch(stdout, /epoch 1\/1/);
  assert.match(stderr, /^search: epoch 1\/1 · loss [\d.]+ · validation accuracy [\d.]+ %/m);
  assert.match(stderr, /^train random-1: epoch 1\/1 .* 100 %/m);
});

const MISTAKES: readonly (readonly [what: string, args: readonly string[], message: RegExp])[] = [
  ["a name that is taken", ["--name", "first"], /runs\/first is already there\..*choose another --name/],
  ["an unknown method", ["--search-method", "dart"], /Unknown search\.method 'dart'; did you mean 'darts'\?/],
  ["an unknown data set", ["--data-name", "cifra"], /There is no data set "cifra"; did you mean "cifar10"\?/],
  [
    "a missing folder",
    ["--data-path", "nowhere"],
    /data\.path nowhere is no folder\. Expected <path>\/train/,
  ],
  ["an empty folder", ["--data-path", "empty"], /empty holds 0 folders of images/],
  ["a corrupt image", ["--data-path", "corrupt"], /corrupt\/band-1\/3\.png cannot be read/],
  [
    "grey among RGB",
    ["--data-path", "mixed"],
    /mixed\/band-0\/0\.png is RGB and mixed\/band-2\/0\.png is grey/,
  ],
  ["an unknown device", ["--device", "cuda:7"], /Unknown device 'cuda:7'; this libtorch has cpu/],
  ["too few images", ["--search-train-images", "100"], /100 images are asked for, but there are 39/],
  ["an empty split", ["--data-weights-share", "0.01"], /leaves 0 for the weights/],
  [
    "images too small",
    ["--train-stem", "imagenet"],
    /16×16 pixels are too small for the auxiliary head: it sees 1×1/,
  ],
  ["a place that is a file", ["--root", "tiny.yaml"], /tiny\.yaml: a file of that name is in the way/],
];

for (const [what, args, message] of MISTAKES) {
  test(`run refuses ${what} before it makes a folder`, () => {
    if (what === "an empty folder") mkdirSync(join(folder, "empty"));
    if (what === "a corrupt image") {
      writeTinyImages(join(folder, "corrupt"));
      const path = join(folder, "corrupt", "band-1", "3.png");
      writeFileSync(path, readFileSync(path).subarray(0, 60));
    }
    if (what === "grey among RGB") {
      writeTinyImages(join(folder, "mixed"));
      writeTinyImages(join(folder, "other"), { channels: 1 });
      cpSync(join(folder, "other", "band-2", "0.png"), join(folder, "mixed", "band-2", "0.png"));
    }
    const runs = readdirSync(inRun());
    assertMistake(darts(["run", ...WITH_SETTINGS, ...args]), message);
    assert.deepEqual(readdirSync(inRun()), runs);
  });
}

test("train says which file or folder is not there, and what a run without a cell lacks", () => {
  assertMistake(darts(["train", "runs/none", ...WITH_SETTINGS]), /There is no file or folder runs\/none/);
  mkdirSync(inRun("bare"));
  assertMistake(
    darts(["train", "runs/bare", ...WITH_SETTINGS]),
    /runs\/bare\/genotype\.json: there is no such file\..*darts derive runs\/bare/,
  );
});

test("a training that diverges ends with exit code 2, says where, and keeps what was saved before", () => {
  const diverging = [
    "--train-learning-rate",
    "1e30",
    "--train-learning-rate-min",
    "1e30",
    "--train-grad-clip",
    "0",
  ];
  const result = darts(["run", ...WITH_SETTINGS, "--name", "diverged", ...diverging, "--json"]);
  assertMistake(
    result,
    /training diverged: the loss or its gradient is (NaN|-?Infinity) at step \d of epoch 1.*First to go bad: the (weight|buffer|gradient of) \S+ /,
  );
  const [health, event] = eventsOf("diverged").slice(-2);
  assert.ok(health?.type === "health" && health.kind === "not-finite" && health.phase === "training");
  assert.ok(event?.type === "error" && /diverged/.test(event.message));
  assert.ok(loadSafetensors(inRun("diverged", "checkpoints", "search-last.safetensors")).tensors.size > 0);
  assert.equal(existsSync(inRun("diverged", "report.json")), false);
  assert.deepEqual(
    parseGenotype(readFileSync(inRun("diverged", "genotype.json"), "utf8")),
    (first["search"] as { genotype: unknown }).genotype,
  );
});

test("a run whose messages nobody reads any more goes on to its end", async () => {
  const child = spawn(process.execPath, [BIN, "run", ...WITH_SETTINGS, "--name", "unread"], {
    cwd: folder,
    stdio: ["ignore", "ignore", "pipe"],
  });
  child.stderr.once("data", () => child.stderr.destroy());
  const code = await new Promise((resolve) => child.on("close", resolve));
  assert.equal(code, 0);
  assert.ok(existsSync(inRun("unread", "report.json")));
});

/** The one object that `--json` prints: the whole of stdout, on one line. */
function json(args: readonly string[]): Record<string, unknown> {
  const { code, stdout, stderr } = darts([...args, "--json"]);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^\{[^\n]*\}\n$/);
  return JSON.parse(stdout) as Record<string, unknown>;
}

/** Exit code 2, nothing on stdout, a sentence and no stack trace at the end of stderr. */
function assertMistake({ code, stdout, stderr }: Result, message: RegExp): void {
  assert.match(stderr, message);
  assert.doesNotMatch(stderr, /^\s+at /m);
  assert.deepEqual({ code, stdout }, { code: 2, stdout: "" });
}
