// The configuration from its sources: which wins, and what each mistake is answered with.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { formatConfig } from "../../src/config/format.ts";
import { resolveConfig } from "../../src/config/load.ts";
import { allPresets } from "../../src/config/presets.ts";
import { mistake } from "../support/mistake.ts";

const folder = mkdtempSync(join(tmpdir(), "darts-config-"));
after(() => rmSync(folder, { recursive: true }));

let files = 0;
function yaml(text: string): string {
  const file = join(folder, `${files++}.yaml`);
  writeFileSync(file, text);
  return file;
}

test("without sources the configuration is that of the released code", () => {
  assert.deepEqual(resolveConfig({}), resolveConfig({ preset: "code" }));
});

test("a flag is stronger than --set, --set than the file, the file than the preset", () => {
  const file = yaml("search: { epochs: 7, cells: 7, channels: 7 }\n");
  const sources = {
    preset: "quick",
    file,
    set: ["search.epochs=8", "search.cells=8"],
    flags: { "search.epochs": "9" },
  };
  const { search, train } = resolveConfig(sources);
  assert.deepEqual([search.epochs, search.cells, search.channels], [9, 8, 7]);
  assert.equal(train.channels, resolveConfig({ preset: "quick" }).train.channels);
});

test("the last of two --set of one key wins", () => {
  assert.equal(resolveConfig({ set: ["seed=3", "seed=4"] }).seed, 4);
});

test("--set reads numbers, lists, null and texts as YAML", () => {
  const set = [
    "search.learningRate=1e-3",
    "space.primitives=[none, skip_connect]",
    "data.path=null",
    "data.name=7",
  ];
  const config = resolveConfig({ set });
  assert.equal(config.search.learningRate, 0.001);
  assert.deepEqual(config.space.primitives, ["none", "skip_connect"]);
  assert.equal(config.data.path, null);
  assert.equal(config.data.name, "7");
});

test("a list may be comma separated and a text may hold what YAML would read otherwise", () => {
  const config = resolveConfig({ flags: { "space.primitives": "none, sep_conv_3x3", "data.path": "a: [b" } });
  assert.deepEqual(config.space.primitives, ["none", "sep_conv_3x3"]);
  assert.equal(config.data.path, "a: [b");
});

test("an empty file and a section without keys change nothing", () => {
  assert.deepEqual(resolveConfig({ file: yaml("") }), resolveConfig({}));
  assert.deepEqual(resolveConfig({ file: yaml("search:\n  # epochs: 3\ntrain:\n") }), resolveConfig({}));
});

test("a written configuration reads back as the same", () => {
  const config = resolveConfig({ preset: "quick", set: ["data.path=~/images: mine", "seed=5"] });
  assert.deepEqual(resolveConfig({ file: yaml(formatConfig(config)) }), config);
});

test("an unknown key in a file is told with its line, column and the nearest key", () => {
  const file = yaml("seed: 1\nsearch:\n  epochs: 3\n  epoch: 3\n");
  const message = mistake(() => resolveConfig({ file }));
  assert.equal(message, `${file}:4:3: unknown key search.epoch. Did you mean search.epochs?`);
});

test("a wrong type in a file is told with its line, the key, what was got and what was expected", () => {
  const file = yaml("search:\n\n  epochs: many\n");
  const message = mistake(() => resolveConfig({ file }));
  assert.equal(
    message,
    `${file}:3:3: search.epochs: expected a whole number, at least 1, got the text "many".`,
  );
});

test("a wrong item of a list is told with its own line and the nearest word", () => {
  const file = yaml("space:\n  primitives:\n    - none\n    - sep_conv_3x4\n");
  const message = mistake(() => resolveConfig({ file }));
  assert.ok(message.startsWith(`${file}:4:7: space.primitives[1]: expected one of: none,`), message);
  assert.match(message, /got the text "sep_conv_3x4"\. Did you mean sep_conv_3x3\?$/);
});

const MISTAKES: readonly (readonly [file: string, message: RegExp])[] = [
  ["seed: -1", /:1:1: seed: expected a whole number, at least 0, got -1\.$/],
  ["seed: 1.5", /:1:1: seed: expected a whole number, at least 0, got 1\.5\.$/],
  ["seed:", /:1:1: seed: expected a whole number, at least 0, got null\.$/],
  ["search: 3", /:1:1: search is a section of keys, got 3\./],
  ["search: [1]", /:1:1: search is a section of keys, got the list \[1\]\./],
  [
    "search: { epochs: { a: 1 } }",
    /:1:11: search\.epochs: expected a whole number, at least 1, got the section/,
  ],
  ["data: { weightsShare: 1 }", /weightsShare: expected a number, above 0 and below 1, got 1\.$/],
  ["data: { flip: 1 }", /data\.flip: expected true or false, got 1\.$/],
  ["data: { path: 3 }", /data\.path: expected a text, or null, got 3\.$/],
  ["search: { order: secnd }", /search\.order: expected one of: first, second, .* Did you mean second\?$/],
  [
    "space: { primitives: [none] }",
    /space\.primitives: expected a list of at least 2 of: .*, got the list \["none"\]\.$/,
  ],
  [
    "space: { primitives: [none, none] }",
    /space\.primitives: each operation may stand in the list only once/,
  ],
  ["epochs: 3", /:1:1: unknown key epochs\. Did you mean search\.epochs or train\.epochs\?$/],
  ["serch: { epochs: 3 }", /:1:1: unknown key serch\. Did you mean search\?$/],
  ["search.epochs: 3", /:1:1: unknown key search\.epochs\. Write it nested: search: \{ epochs: … \}\.$/],
  ["zzzzzzzzzzzzzzz: 3", /:1:1: unknown key zzzzzzzzzzzzzzz\. `darts presets paper` lists every key\.$/],
  ["__proto__: { seed: 1 }", /:1:1: unknown key __proto__\./],
  ["seed: 1\nseed: 2", /:2:1: not valid YAML: Map keys must be unique/],
  ["a: [1", /:1:6: not valid YAML/],
  ["- 1", /:1:1: expected keys with values .*, got the list \[1\]\.$/],
  ["seed: !thing 2", /:1:7: not valid YAML: Unresolved tag/],
];

for (const [text, message] of MISTAKES) {
  test(`a file with ${JSON.stringify(text)} is refused with a sentence`, () => {
    assert.match(
      mistake(() => resolveConfig({ file: yaml(text) })),
      message,
    );
  });
}

test("a mistake in a weak source is told even where a stronger one overrides it", () => {
  const file = yaml("seed: no");
  assert.match(
    mistake(() => resolveConfig({ file, flags: { seed: "1" } })),
    /got the text "no"/,
  );
});

test("a missing file and a folder are told apart", () => {
  assert.match(
    mistake(() => resolveConfig({ file: join(folder, "none.yaml") })),
    /none\.yaml: there is no such file/,
  );
  assert.match(
    mistake(() => resolveConfig({ file: folder })),
    /it is a folder/,
  );
});

test("--set and flags quote what was typed", () => {
  assert.match(
    mistake(() => resolveConfig({ set: ["search.epochs"] })),
    /^--set search\.epochs: expected key=value/,
  );
  assert.match(
    mistake(() => resolveConfig({ set: ["search=3"] })),
    /search is a section: name one of its keys/,
  );
  assert.match(
    mistake(() => resolveConfig({ set: ["search.epochs="] })),
    /got the text ""/,
  );
  assert.match(
    mistake(() => resolveConfig({ set: ["train.batchsize=3"] })),
    /^--set train\.batchsize=3: unknown key train\.batchsize\. Did you mean train\.batchSize\?$/,
  );
  assert.match(
    mistake(() => resolveConfig({ flags: { "search.batchSize": "x" } })),
    /^--search-batch-size x: search\.batchSize: expected a whole number, at least 1, got the text "x"\.$/,
  );
});

test("an unknown preset names the nearest and all of them", () => {
  assert.equal(
    mistake(() => resolveConfig({ preset: "quik" })),
    `Unknown preset "quik"; expected one of: ${Object.keys(allPresets()).join(", ")}. Did you mean quick?`,
  );
  assert.match(
    mistake(() => resolveConfig({ preset: "toString" })),
    /^Unknown preset "toString"/,
  );
});
