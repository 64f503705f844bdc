// What goes wrong with files and machines, by the real command: exit code 2, a sentence with the cause, one with the
// remedy, and nothing lost.
import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { storeDataset } from "../../src/data/stored.ts";
import { test as measure } from "../../src/library/jobs.ts";
import { readEvents } from "../../src/run/events.ts";
import { damages } from "../support/damage.ts";
import { toyDataset } from "../support/toy-problem.ts";
import { commandLine, type Result } from "./command-line.ts";
import { TINY_SETTINGS, writeTinyImages } from "./tiny-run.ts";

const { folder, darts, remove } = commandLine();
after(remove);
const WITH_SETTINGS = ["--config", "tiny.yaml"];
const RUN = join("runs", "first");
const inFolder = (...path: string[]) => join(folder, ...path);

before(() => {
  writeFileSync(inFolder("tiny.yaml"), TINY_SETTINGS);
  writeTinyImages(inFolder("images"));
  const result = darts(["run", ...WITH_SETTINGS, "--name", "first", "--train-random-cells", "0"]);
  assert.equal(result.code, 0, result.stderr);
});

/** Exit code 2, nothing on stdout, and at the end of stderr the sentences without a stack trace. */
function assertMistake({ code, stdout, stderr }: Result, message: RegExp): void {
  assert.match(stderr, message);
  assert.doesNotMatch(stderr, /^\s+at |This is a fault in darts/m);
  assert.deepEqual({ code, stdout }, { code: 2, stdout: "" });
}

test("damaged weights are refused by name with a remedy, and a whole copy still reads", async () => {
  const good = readFileSync(inFolder(RUN, "found.safetensors"));
  for (const { name, bytes } of damages(good)) {
    // Plain weights carry no checksum: a changed number among them is a number.
    if (name.startsWith("changed by one bit")) continue;
    const file = inFolder(`${name.replaceAll(" ", "-")}.safetensors`);
    writeFileSync(file, bytes);
    // By the function behind the command: a process for each would only take longer.
    await assert.rejects(measure(inFolder(RUN), { weights: file, dataPath: inFolder("images") }), {
      name: "UserError",
      message: new RegExp(`^${file}: .*\\. Copy the file again`),
    });
  }
  assertMistake(
    darts(["test", RUN, "--weights", "cut-by-one-byte.safetensors"]),
    /^darts: cut-by-one-byte\.safetensors: .*\. Copy the file again/m,
  );
  writeFileSync(inFolder("copy.safetensors"), good);
  assert.equal(darts(["test", RUN, "--weights", "copy.safetensors"]).code, 0);
});

test("weights of another network are refused with the names that differ", () => {
  const other = darts([
    "train",
    "random",
    ...WITH_SETTINGS,
    "--name",
    "wider",
    "--train-channels",
    "3",
    "--train-epochs",
    "1",
  ]);
  assert.equal(other.code, 0, other.stderr);
  assertMistake(
    darts(["test", RUN, "--weights", join("runs", "wider", "random-1.safetensors")]),
    /^darts: The weights are of another network: .*(missing \(\S+|stem\.0\.weight has shape \[\d).*(Check the genotype|expected \[)/m,
  );
});

test("a damaged checkpoint of the run itself is refused by name", async () => {
  cpSync(inFolder(RUN), inFolder("runs", "damaged"), { recursive: true });
  const path = join("runs", "damaged", "checkpoints", "found-last.safetensors");
  const good = readFileSync(inFolder(path));
  for (const { bytes } of damages(good)) {
    writeFileSync(inFolder(path), bytes);
    await assert.rejects(measure(inFolder("runs", "damaged"), { dataPath: inFolder("images") }), {
      name: "UserError",
      message: /found-last\.safetensors/,
    });
  }
  assertMistake(darts(["test", join("runs", "damaged")]), /found-last\.safetensors/);
});

const FILES: readonly (readonly [what: string, args: readonly string[], message: RegExp])[] = [
  ["a device as settings", ["run", "--config", "/dev/zero"], /\/dev\/zero: it is a device, not a file\./],
  ["a folder as settings", ["run", "--config", "images"], /images: it is a folder, not a file\./],
  [
    "settings nested without end",
    ["run", "--config", "nested.yaml"],
    /^darts: nested\.yaml:1:\d+: no settings: it is nested more than 20 deep\. Mend that line\.$/m,
  ],
  [
    "aliases that explode",
    ["run", "--config", "laughs.yaml"],
    /^darts: laughs\.yaml: not valid YAML: .*alias.*Write the values out\.$/m,
  ],
  [
    "a wrong range in settings",
    ["run", "--config", "range.yaml"],
    /^darts: range\.yaml:2:3: train\.dropPath: expected a number, .*below 1, got 1\.$/m,
  ],
  [
    "a wrong type in settings",
    ["run", "--config", "type.yaml"],
    /^darts: type\.yaml:3:5: space\.primitives: expected a list .*, got true\.$|^darts: type\.yaml:/m,
  ],
  [
    "wrong YAML",
    ["run", "--config", "wrong.yaml"],
    /^darts: wrong\.yaml:3:1: not valid YAML: .*[^.]\. Mend that line\.$/m,
  ],
  [
    "a device as weights",
    ["test", RUN, "--weights", "/dev/zero"],
    /\/dev\/zero: it is a device, not a file\./,
  ],
  ["a folder as weights", ["test", RUN, "--weights", "images"], /images: it is a folder, not a file\./],
  ["a device as a cell", ["show", "/dev/zero"], /\/dev\/zero: it is a device, not a file\./],
  [
    "a root where no folder can be made",
    ["run", ...WITH_SETTINGS, "--root", "/proc/x"],
    /\/proc\/x: this file system takes no new folders\. Choose another place\./,
  ],
  [
    "a root below a file",
    ["run", ...WITH_SETTINGS, "--root", "tiny.yaml/x"],
    /tiny\.yaml\/x: a part of the path is a file, not a folder/,
  ],
  [
    "a GPU that is not there",
    ["search", ...WITH_SETTINGS, "--device", "cuda:63"],
    /Unknown device 'cuda:63'; this libtorch has cpu.*\. Set device to one of them\./,
  ],
  [
    "more memory than there is",
    ["search", ...WITH_SETTINGS, "--search-channels", "300000"],
    /memory.* Lower |memory.*smaller|memory.*fewer/i,
  ],
];

for (const [what, args, message] of FILES) {
  test(`${what} is refused with a sentence`, () => {
    writeFileSync(inFolder("nested.yaml"), `seed: ${"{".repeat(5000)}`);
    const doubled = Array.from(
      { length: 12 },
      (_, i) => `l${i + 1}: &l${i + 1} [${Array(9).fill(`*l${i}`).join(", ")}]`,
    );
    writeFileSync(inFolder("laughs.yaml"), ["l0: &l0 [x]", ...doubled].join("\n"));
    writeFileSync(inFolder("range.yaml"), "train:\n  dropPath: 1\n");
    writeFileSync(inFolder("type.yaml"), "# mine\nspace: {\n    primitives: true }\n");
    writeFileSync(inFolder("wrong.yaml"), "seed: 2\nsearch: [1\n");
    assertMistake(darts(args), message);
  });
}

test("a name that is none, and one that is taken, are refused before the data are loaded", () => {
  for (const [name, message] of [
    ["a/b", /A run cannot be named "a\/b"; expected a plain folder name/],
    ["first", /runs\/first is already there\..*choose another --name/],
  ] as const) {
    // The data are not there: were they looked for first, the sentence would be about them.
    assertMistake(darts(["run", ...WITH_SETTINGS, "--data-path", "nowhere", "--name", name]), message);
  }
});

test("a genotype longer than a path may be is taken as text", () => {
  const text = readFileSync(inFolder(RUN, "genotype.txt"), "utf8");
  const long = `Genotype(${" ".repeat(5000)}${text.trim().slice("Genotype(".length)}`;
  assert.equal(darts(["show", long, "--json"]).code, 0);
});

test("an edited event log is told with its line, and an epoch without its cell as such", () => {
  cpSync(inFolder(RUN), inFolder("runs", "edited"), { recursive: true });
  const path = inFolder("runs", "edited", "events.jsonl");
  const lines = readFileSync(path, "utf8").split("\n");
  writeFileSync(path, [lines[0], "edited by hand", ...lines.slice(1)].join("\n"));
  assertMistake(
    darts(["derive", join("runs", "edited")]),
    /events\.jsonl:2: expected a JSON object .*got "edited by hand"\. Take the line out/,
  );
  writeFileSync(path, '{"type":"search-epoch","time":"2026-01-01T00:00:00Z","epoch":0}\n');
  assertMistake(darts(["derive", join("runs", "edited")]), /genotype: got nothing, expected an object/);
});

test("a cache that was damaged after the download is told by file, with the command that mends it", () => {
  const cache = inFolder("cache");
  const stored = join(cache, "datasets", "mnist");
  mkdirSync(stored, { recursive: true });
  storeDataset(stored, { ...toyDataset(), name: "mnist" });
  const env = { DARTS_CACHE: cache };
  assert.match(darts(["data", "verify", "mnist"], { env }).stdout, /^mnist: whole/);
  const images = join(stored, "train-images.bin");
  const bytes = readFileSync(images);
  for (const damage of damages(bytes).filter(({ name }) => name !== "a page of HTML")) {
    writeFileSync(images, damage.bytes);
    const { code, stdout } = darts(["data", "verify", "mnist"], { env });
    assert.match(
      stdout,
      /^mnist: damaged.*\n.*train-images\.bin (is damaged|has \d+ bytes, expected).*\n.*darts data get mnist$/m,
    );
    assert.equal(code, 1, damage.name);
  }
});

test("a cache that is damaged and cannot be fetched again names the file and what else to do", () => {
  const env = {
    DARTS_CACHE: inFolder("cache"),
    npm_config_registry: "http://127.0.0.1:9/",
    npm_config_fetch_retries: "0",
  };
  const result = darts(["search", ...WITH_SETTINGS, "--data-name", "mnist", "--data-path", "null"], { env });
  assertMistake(
    result,
    /The cached mnist is damaged and made again: .*train-images\.bin (is damaged|has \d+ bytes)/,
  );
  assert.match(result.stderr, /^darts: No network: [\s\S]*Otherwise, put the four IDX files/m);
});

test("a clock that jumps to and fro changes no duration, no order and no result", () => {
  writeFileSync(
    inFolder("clock.cjs"),
    `const now = Date.now; let calls = 0;
     const jumping = () => now() + [0, -86400000, 3600000, -31536000000][calls++ % 4];
     const Real = Date; globalThis.Date = class extends Real { constructor(...a) { a.length ? super(...a) : super(jumping()); } static now() { return jumping(); } };`,
  );
  const env = { NODE_OPTIONS: `--require=${inFolder("clock.cjs")}` };
  const args = ["run", ...WITH_SETTINGS, "--train-random-cells", "0", "--json"];
  const { code, stdout, stderr } = darts([...args, "--name", "jumping"], { env });
  assert.equal(code, 0, stderr);
  assert.doesNotMatch(stderr, /-\d+ (s|min|h)|NaN/);
  const report = JSON.parse(stdout) as {
    search: { seconds: number; genotype: unknown };
    trained: { seconds: number }[];
  };
  for (const { seconds } of [report.search, ...report.trained])
    assert.ok(seconds > 0 && seconds < 600, `${seconds} s`);
  const events = readEvents(inFolder("runs", "jumping", "events.jsonl"));
  assert.ok(
    events.some(({ time }, i) => i > 0 && time < events[i - 1]!.time),
    "the clock did jump",
  );
  assert.deepEqual(
    events.map(({ type }) => type),
    readEvents(inFolder(RUN, "events.jsonl")).map(({ type }) => type),
  );
  for (const event of events) if ("seconds" in event) assert.ok(event.seconds > 0 && event.seconds < 600);
  assert.ok(existsSync(inFolder("runs", "jumping", "report.json")));
  assert.deepEqual(
    readFileSync(inFolder("runs", "jumping", "found.safetensors")),
    readFileSync(inFolder(RUN, "found.safetensors")),
  );
});
