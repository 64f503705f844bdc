// Plugins by the real command: the three examples, each mistake a plugin can hold, and runs that find their plugins again.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { countNetwork } from "../../src/genotype/counts.ts";
import { commandLine } from "../cli/command-line.ts";

const EXAMPLES = fileURLToPath(new URL("../../../examples/", import.meta.url));
const { folder, darts, remove } = commandLine();
after(remove);

const SETTINGS = `
threads: 1
data: { name: shapes, cropPadding: 1, trainImages: 60, testImages: 30 }
space: { nodes: 2, stemMultiplier: 1, primitives: [none, bottleneck_3x3] }
search: { method: sharpened, channels: 2, cells: 3, epochs: 1, batchSize: 8 }
train: { channels: 2, cells: 3, epochs: 1, batchSize: 8, cutout: 2, auxiliary: false, randomCells: 0 }
`;
const PLUGINS = ["operation", "dataset", "method"].map((what) => `${EXAMPLES}own-${what}.ts`);

before(() => {
  writeFileSync(join(folder, "tiny.yaml"), SETTINGS);
  // Names no operation of a plugin: a cell that holds one brings it.
  const plain = SETTINGS.replace("bottleneck_3x3", "skip_connect").replace("method: sharpened, ", "");
  writeFileSync(join(folder, "plain.yaml"), `plugin: ["${PLUGINS[1]}"]\n${plain}`);
});

const plugin = (name: string, text: string): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};

/** What makes a finished run, each time, one that was killed before its end. */
const cuttingLog = (run: string): (() => void) => {
  const log = join(folder, "runs", run, "events.jsonl");
  const lines = readFileSync(log, "utf8").trimEnd().split("\n");
  return () => writeFileSync(log, `${lines.slice(0, -2).join("\n")}\n`);
};

/** An operation plugin; `body` are the fields of its definition. */
const operation = (body: string) =>
  `import { AvgPool2d, Conv2d, defineOperation, Identity, MaxPool2d } from "darts-nas";\nexport const op = defineOperation({ ${body} });\n`;

test("the three examples search and train together, and the run finds them again", () => {
  const flags = PLUGINS.flatMap((path) => ["--plugin", path]);
  const { code, stdout, stderr } = darts([
    "run",
    "--config",
    "tiny.yaml",
    ...flags,
    "--name",
    "own",
    "--json",
  ]);
  assert.equal(code, 0, stderr);
  const report = JSON.parse(stdout) as {
    search: { genotype: { normal: [string, number][] } };
    trained: { last: { images: number }; params: number }[];
    data: { name: string; classes: string[] };
  };
  assert.deepEqual([report.data.name, report.data.classes], ["shapes", ["disc", "square", "cross"]]);
  assert.ok(report.search.genotype.normal.some(([op]) => op === "bottleneck_3x3"));
  assert.equal(report.trained[0]!.last.images, 30);
  const config = parse(readFileSync(join(folder, "runs/own/config.yaml"), "utf8")) as { plugin: string[] };
  assert.deepEqual(config.plugin, PLUGINS);
  assert.match(readFileSync(join(folder, "runs/own/normal.svg"), "utf8"), /bottleneck_3x3/);
  for (const args of [
    ["derive", "runs/own"],
    ["test", "runs/own"],
    ["show", "runs/own", "--json"],
    ["train", "runs/own"],
    ["train", "runs/own", "--config", "plain.yaml", "--name", "other"],
    ["test", "runs/other"],
  ]) {
    const again = darts(args);
    assert.equal(again.code, 0, `darts ${args.join(" ")}: ${again.stderr}`);
  }
});

test("a genotype with a plugin's operation is drawn and counted as its cost says, with libtorch or without", () => {
  const edge = "('bottleneck_3x3', 0), ('bottleneck_3x3', 1)";
  const text = `Genotype(normal=[${edge}], normal_concat=[2], reduce=[${edge}], reduce_concat=[2])`;
  const show = ["show", text, "--channels", "4", "--cells", "3", "--json", "--plugin"];
  const said = darts([...show, PLUGINS[0]!], { env: { LIBTORCH: "/nowhere" } });
  assert.equal(said.code, 0, said.stderr);
  const source = readFileSync(PLUGINS[0]!, "utf8");
  const silent = plugin("measured.ts", source.replace(/ {2}\/\/ Leave it out[\s\S]*?\n {2}\},\n/, ""));
  assert.doesNotMatch(readFileSync(silent, "utf8"), /cost\(/);
  const measured = darts([...show, silent]);
  assert.equal(measured.code, 0, measured.stderr);
  assert.deepEqual(JSON.parse(measured.stdout), JSON.parse(said.stdout));
  // Against the same network with edges that weigh nothing: what is left is the operation's, by hand.
  const pools = text.replaceAll("bottleneck_3x3", "max_pool_3x3");
  const bare = JSON.parse(darts(["show", pools, "--channels", "4", "--cells", "3", "--json"]).stdout) as {
    params: number;
  };
  const weights = [4, 8, 16].map((c) => 2 * (2 * c * 2 * c + 9 * 2 * c + 2 * 3 * c)).reduce((a, b) => a + b);
  assert.equal((JSON.parse(said.stdout) as { params: number }).params - bare.params, weights);
});

test("an operation that no plugin has added is an error in configurations and in genotypes", () => {
  const config = darts(["search", "--config", "tiny.yaml"]);
  assert.match(
    config.stderr,
    /tiny\.yaml:4:58: space\.primitives\[1\]: .*got the text "bottleneck_3x3"\. .*--plugin FILE/,
  );
  const edge = "('bottleneck_3x3', 0), ('bottleneck_3x3', 1)";
  const genotype = darts(["show", `Genotype(normal=[${edge}], reduce=[${edge}])`]);
  assert.match(genotype.stderr, /got the operation "bottleneck_3x3".*--plugin FILE/);
  const misspelt = darts(["search", "--plugin", PLUGINS[0]!, "--space-primitives", "none,botleneck_3x3"]);
  assert.match(misspelt.stderr, /Did you mean bottleneck_3x3\?/);
  assert.deepEqual([config.code, genotype.code, misspelt.code], [2, 2, 2]);
});

const MISTAKES: Record<string, [text: string, message: RegExp]> = {
  "that does not parse, with line and column": [
    "export const a: number = 1;\nexport const b = ;\n",
    /bad\.ts:2:17: Unexpected token/,
  ],
  "whose import does not parse, with that file's line": [
    'import "./broken.ts";\nexport const a = 1;\n',
    /broken\.ts:1:\d+: /,
  ],
  "that throws, with the line": [
    'interface Q { a: number }\n\nfunction f(): Q { throw new Error("boom"); }\nexport const a = f();\n',
    /boom \(.*bad\.ts:3:\d+\)/,
  ],
  "that imports what is not there": [
    'import { a } from "no-such-package";\nexport const b = a;\n',
    /'no-such-package'/,
  ],
  "that adds nothing": ["export const a = 1;\n", /adds nothing; expected it to export what defineOperation/],
  "whose operation has no builder": [
    operation('name: "x"'),
    /defineOperation: create is undefined, expected a function/,
  ],
  "whose operation has a name that no genotype can hold": [
    operation('name: "my op", create: () => new Identity()'),
    /has the name "my op"; expected a letter/,
  ],
  "whose operation has a published name": [
    operation('name: "skip_connect", create: () => new Identity()'),
    /There is an operation named skip_connect already/,
  ],
  "whose method has no paper": [
    'import { defineMethod } from "darts-nas";\nexport const m = defineMethod({ name: "m" } as never);\n',
    /defineMethod: paper is undefined, expected a string/,
  ],
  "whose data set has the name of a published one": [
    'import { defineDataset } from "darts-nas";\n' +
      'export const d = defineDataset({ name: "cifar10", description: "", load: () => { throw 1; } });\n',
    /There is a data set named cifar10 already/,
  ],
};

for (const [what, [text, message]] of Object.entries(MISTAKES)) {
  test(`a plugin is refused ${what}`, () => {
    plugin("broken.ts", "const = 1;\n");
    const path = plugin("bad.ts", text);
    const { code, stdout, stderr } = darts(["search", "--config", "tiny.yaml", "--plugin", path]);
    assert.match(stderr, message);
    assert.match(stderr, /^darts: The plugin .*bad\.ts/);
    assert.deepEqual([code, stdout], [2, ""]);
  });
}

test("a plugin that is not there is an error, also where a run names it", () => {
  const missing = darts(["search", "--plugin", "nowhere.ts"]);
  assert.match(missing.stderr, /There is no plugin .*nowhere\.ts\. Put the file back/);
  const path = plugin(
    "mine.ts",
    operation('name: "mine", create: (_c, stride) => new MaxPool2d(3, { stride, padding: 1 })'),
  );
  const own = SETTINGS.replace("bottleneck_3x3", "skip_connect, mine").replace("method: sharpened, ", "");
  writeFileSync(join(folder, "mine.yaml"), own);
  const data = ["--plugin", PLUGINS[1]!];
  const run = darts(["search", "--config", "mine.yaml", "--plugin", path, ...data, "--name", "moved"]);
  assert.equal(run.code, 0, run.stderr);
  mkdirSync(join(folder, "away"));
  renameSync(path, join(folder, "away/mine.ts"));
  const derive = darts(["derive", "runs/moved"]);
  assert.match(derive.stderr, /There is no plugin .*mine\.ts/);
  assert.equal(derive.code, 2);
  assert.equal(darts(["derive", "runs/moved", "--plugin", "away/mine.ts", ...data]).code, 0);
});

test("a run goes on with a plugin that moved, and says so when its text is another", () => {
  const path = plugin(
    "kept.ts",
    operation('name: "kept", create: (_c, stride) => new MaxPool2d(3, { stride, padding: 1 })'),
  );
  const own = SETTINGS.replace("bottleneck_3x3", "skip_connect, kept").replace("method: sharpened, ", "");
  writeFileSync(join(folder, "kept.yaml"), own);
  const flags = ["--plugin", path, "--plugin", PLUGINS[1]!];
  const run = darts(["search", "--config", "kept.yaml", ...flags, "--name", "kept"]);
  assert.equal(run.code, 0, run.stderr);
  rmSync(join(folder, "runs/kept/report.json"));
  const cut = cuttingLog("kept");
  cut();
  mkdirSync(join(folder, "elsewhere"));
  renameSync(path, join(folder, "elsewhere/kept.ts"));
  const resume = [
    "search",
    "--resume",
    "runs/kept",
    "--plugin",
    "elsewhere/kept.ts",
    "--plugin",
    PLUGINS[1]!,
  ];
  const same = darts(resume);
  assert.equal(same.code, 0, same.stderr);
  assert.doesNotMatch(same.stderr, /is not what it was/);
  cut();
  writeFileSync(
    join(folder, "elsewhere/kept.ts"),
    `${readFileSync(join(folder, "elsewhere/kept.ts"), "utf8")}// changed\n`,
  );
  const changed = darts(resume);
  assert.equal(changed.code, 0, changed.stderr);
  assert.match(
    changed.stderr,
    /The plugin .*elsewhere\/kept\.ts is not what it was when runs\/kept was begun/,
  );
  assert.doesNotMatch(changed.stderr, /own-dataset\.ts is not what it was/);
});

test("a run goes on with a plugin whose imports have changed, and says which", () => {
  mkdirSync(join(folder, "parts/deep"), { recursive: true });
  plugin("parts/size.ts", "export type Unused = number;\nexport const size: number = 3;\n");
  plugin("parts/deep/padding.mjs", "export const padding = 1;\n");
  plugin(
    "parts/index.ts",
    'export { size } from "./size.js";\nexport { padding } from "./deep/padding.mjs";\n',
  );
  const path = plugin(
    "built.ts",
    'import { padding, size } from "./parts";\n' +
      '// import { none } from "./not-there.ts";\n' +
      operation('name: "built", create: (_c, stride) => new MaxPool2d(size, { stride, padding })'),
  );
  const own = SETTINGS.replace("bottleneck_3x3", "skip_connect, built").replace("method: sharpened, ", "");
  writeFileSync(join(folder, "built.yaml"), own);
  const flags = ["--plugin", path, "--plugin", PLUGINS[1]!];
  const run = darts(["search", "--config", "built.yaml", ...flags, "--name", "built"]);
  assert.equal(run.code, 0, run.stderr);
  const cut = cuttingLog("built");
  const resume = () => {
    cut();
    const { code, stderr } = darts(["search", "--resume", "runs/built"]);
    assert.equal(code, 0, stderr);
    return [...stderr.matchAll(/^The (.*) is not what it was when runs\/built was begun/gm)].map(
      ([, what]) => what,
    );
  };
  assert.deepEqual(resume(), []);
  plugin("parts/deep/padding.mjs", "export const padding = 1; // changed\n");
  assert.deepEqual(resume(), [`file parts/deep/padding.mjs, which the plugin ${path} imports,`]);
  // A record of an earlier version knows nothing of imports: it is not said that they changed.
  const record = join(folder, "runs/built/run.json");
  const { plugins, ...rest } = JSON.parse(readFileSync(record, "utf8")) as { plugins: { file: string }[] };
  writeFileSync(record, JSON.stringify({ ...rest, plugins: plugins.map(({ file }) => file) }));
  assert.deepEqual(resume(), []);
  plugin("built.ts", `${readFileSync(path, "utf8")}// changed\n`);
  assert.deepEqual(resume(), [`plugin ${path}`]);
});

test("darts data knows the data sets of plugins", () => {
  const flags = ["--plugin", PLUGINS[1]!];
  assert.match(darts(["data", ...flags]).stdout, /^shapes +yours/m);
  const get = darts(["data", "get", "shapes", ...flags]);
  assert.deepEqual([get.code, get.stdout], [0, "shapes: yours, not in the cache\n"]);
  assert.equal(darts(["data", "verify", "shapes", ...flags]).code, 0);
});

const BAD_OPERATIONS: Record<string, [create: string, message: RegExp]> = {
  "that makes no layer": ["() => 3", /The operation own: create returned number, expected a Layer/],
  "that keeps the size at stride 2": [
    "() => new Identity()",
    /The operation own, stride 2, on \[\d, 4, 16, 16\] gives \[\d, 4, 16, 16\], expected \[\d, 4, 8, 8\]/,
  ],
  "that fails": [
    "(c, stride) => new Conv2d(c + 1, c, 1, { stride })",
    /The operation own, stride 1, on \[\d, 2, 16, 16\] fails: .*channels/,
  ],
};

for (const [what, [create, message]] of Object.entries(BAD_OPERATIONS)) {
  test(`a plugin's operation is refused ${what}`, () => {
    const path = plugin("wrong.ts", operation(`name: "own", create: ${create}`));
    writeFileSync(
      join(folder, "wrong.yaml"),
      SETTINGS.replace("bottleneck_3x3", "own").replace("method: sharpened, ", ""),
    );
    const { code, stderr } = darts([
      "search",
      "--config",
      "wrong.yaml",
      "--plugin",
      path,
      "--plugin",
      PLUGINS[1]!,
    ]);
    assert.match(stderr, message);
    assert.equal(code, 2);
  });
}

const BAD_DATA: Record<string, [fields: string, message: RegExp]> = {
  "without a second class": ['classes: ["a"], train: set, test: set', /expected at least two names/],
  "with too few bytes": [
    'classes: ["a", "b"], train: { ...set, count: 3 }, test: set',
    /train: images has 8 bytes, expected .* = 12/,
  ],
  "with a label of no class": [
    'classes: ["a", "b"], train: set, test: { ...set, labels: Uint8Array.of(0, 2) }',
    /test: image 1 has the label 2/,
  ],
  "with splits of two sizes": [
    'classes: ["a", "b"], train: set, test: { ...set, height: 1, width: 4 }',
    /height is 2 in train and 1 in test/,
  ],
  "with a mean of another number of channels": [
    'classes: ["a", "b"], train: set, test: set, mean: [0], std: [1, 1]',
    /mean and std hold 1 and 2 numbers, expected 1 each/,
  ],
};

for (const [what, [fields, message]] of Object.entries(BAD_DATA)) {
  test(`a plugin's data set is refused ${what}`, () => {
    const path = plugin(
      "data.ts",
      'import { defineDataset } from "darts-nas";\n' +
        "const set = { images: new Uint8Array(8), labels: Uint8Array.of(0, 1), count: 2, channels: 1, height: 2, width: 2 };\n" +
        `export const d = defineDataset({ name: "own", description: "own", load: () => ({ ${fields} }) as never });\n`,
    );
    const { code, stderr } = darts(["search", "--plugin", path, "--data-name", "own"]);
    assert.match(stderr, message);
    assert.match(stderr, /^darts: The data set own: /m);
    assert.equal(code, 2);
  });
}

test("counting a network with an unknown operation names it", () => {
  const genotype = {
    normal: [
      ["nope", 0],
      ["nope", 1],
    ],
    normalConcat: [2],
    reduce: [
      ["nope", 0],
      ["nope", 1],
    ],
    reduceConcat: [2],
  } as const;
  assert.throws(
    () => countNetwork(genotype, { channels: 4, cells: 3 }),
    /there is no operation nope; load the plugin/,
  );
});
