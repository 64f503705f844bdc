// The options of search methods: whose they are, their defaults and flags, and what each mistake is answered with.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { z } from "zod";
import { configFlags } from "../../src/config/flags.ts";
import { diffConfigs, formatConfig } from "../../src/config/format.ts";
import { optionKeys } from "../../src/config/keys.ts";
import { resolveConfig } from "../../src/config/load.ts";
import { declaredMethods, declareMethod, findMethod, methodPresets } from "../../src/methods/table.ts";
import { mistake } from "../support/mistake.ts";

const folder = mkdtempSync(join(tmpdir(), "darts-options-"));
after(() => rmSync(folder, { recursive: true }));

function yaml(text: string): string {
  const file = join(folder, "given.yaml");
  writeFileSync(file, text);
  return file;
}

test("a method gets its own options with their defaults, and another method gets none of them", () => {
  const { options } = resolveConfig({ set: ["search.method=gdas"] }).search;
  assert.deepEqual(options, { temperature: 10, temperatureMin: 0.1, fixedReduction: false });
  assert.deepEqual(resolveConfig({}).search.options, { softmax: "edge" });
});

test("options come from files, --set and flags, the strongest first, one by one", () => {
  const file = yaml("search:\n  method: gdas\n  options:\n    temperature: 5\n    temperatureMin: 0.5\n");
  const set = ["search.options.temperatureMin=0.4"];
  const both = { file, set, flags: { "search.options.temperature": "4" } };
  const temperatures = (given: Parameters<typeof resolveConfig>[0]) => {
    const { temperature, temperatureMin } = resolveConfig(given).search.options;
    return [temperature, temperatureMin];
  };
  assert.deepEqual(temperatures({ file }), [5, 0.5]);
  assert.deepEqual(temperatures(both), [4, 0.4]);
});

test("options survive the way through a written configuration", () => {
  for (const { name } of declaredMethods()) {
    const config = resolveConfig({ preset: name });
    assert.deepEqual(resolveConfig({ file: yaml(formatConfig(config)) }), config, name);
  }
});

test("every option has a flag, a description and a default that is its schema's", () => {
  const flags = new Map(configFlags().map((flag) => [flag.path, flag]));
  assert.ok(optionKeys().length > 10);
  for (const { path, method, description, expected, default: value } of optionKeys()) {
    assert.ok(description && expected, path);
    const name = path.slice("search.options.".length);
    assert.deepEqual(findMethod(method).options.parse({})[name], value, path);
    assert.match(flags.get(path)!.description, new RegExp(`\\b${method}\\b`));
  }
  assert.equal(
    flags.get("search.options.partialChannels")!.usage,
    "--search-options-partial-channels <integer>",
  );
});

test("an option that several methods have is of one kind, so that its text is read in one way", () => {
  const kinds = new Map<string, string>();
  for (const { path, kind } of optionKeys()) assert.equal(kinds.get(path) ?? kind, kind, path);
});

const MISTAKES: readonly (readonly [text: string, message: string])[] = [
  [
    "search:\n  options:\n    partialChannels: 4\n",
    ":3: darts has no option partialChannels. It has: softmax. It belongs to pc-darts.",
  ],
  [
    "search:\n  method: pc-darts\n  options:\n    partialChanels: 4\n",
    ":4: pc-darts has no option partialChanels. It has: partialChannels, edgeNormalization, softmax. " +
      "Did you mean search.options.partialChannels?",
  ],
  [
    "search:\n  options: { partialChannels: some }\n  method: pc-darts\n",
    ':2: search.options.partialChannels: expected a whole number, at least 1, got the text "some".',
  ],
  [
    "search: { method: snas, options: { resourceKind: flops } }\n",
    ':1: search.options.resourceKind: expected one of: all, parameters, macs, memory, got the text "flops".',
  ],
  [
    "search:\n  method: gdas\n  options: 3\n",
    ":3: search.options is a section of keys, got 3. Write its keys indented below it.",
  ],
  [
    "search:\n  options.temperature: 3\n",
    ":2: unknown key search.options.temperature. Write it nested: search: { options: { temperature: … }}.",
  ],
  [
    "search:\n  method: gdas\n  order: second\n",
    ":3: search.order is second, which gdas does not define: its samples are one-hot, so the loss is piecewise " +
      "constant in the alphas and has no second derivative that the straight-through gradient could stand for. " +
      "It has: first, alternating.",
  ],
  [
    "search:\n  method: pcdarts\n",
    ":2: Unknown search.method 'pcdarts'; did you mean 'pc-darts'? There is: " +
      `${declaredMethods()
        .map(({ name }) => name)
        .join(", ")}.`,
  ],
];

for (const [text, message] of MISTAKES) {
  test(`a file with ${JSON.stringify(text)} is refused with its line and a sentence`, () => {
    const file = yaml(text);
    assert.equal(
      mistake(() => resolveConfig({ file })).replace(/^(\S+:\d+):\d+:/, "$1:"), // the line is enough here
      `${file}${message}`,
    );
  });
}

test("every option under every method that does not have it is refused with those that have it", () => {
  const owners = new Map<string, string[]>();
  for (const { path, method } of optionKeys()) owners.set(path, [...(owners.get(path) ?? []), method]);
  let refused = 0;
  for (const [path, having] of owners) {
    const name = path.slice("search.options.".length);
    for (const { name: method, options } of declaredMethods()) {
      const flags = { "search.method": method, [path]: findMethod(having[0]!).options.parse({})[name] };
      if (having.includes(method)) {
        assert.doesNotThrow(() => resolveConfig({ flags }), `${method}, ${path}`);
        continue;
      }
      const own = Object.keys(options.shape);
      const has = own.length > 0 ? `It has: ${own.join(", ")}.` : "It has none.";
      const message = mistake(() => resolveConfig({ flags }));
      assert.ok(message.includes(`: ${method} has no option ${name}. ${has}`), message);
      assert.ok(message.endsWith(` It belongs to ${having.join(", ")}.`), message);
      refused++;
    }
  }
  assert.ok(refused > 200, `${refused} pairs`);
});

test("a preset's options under another method are told by the preset's name", () => {
  assert.equal(
    mistake(() => resolveConfig({ preset: "pc-darts", flags: { "search.method": "darts" } })),
    "--preset pc-darts: darts has no option partialChannels. It has: softmax. It belongs to pc-darts.",
  );
});

test("without an order a method takes its own", () => {
  assert.equal(resolveConfig({ set: ["search.method=snas"] }).search.order, "joint");
  assert.equal(resolveConfig({ set: ["search.method=gdas"] }).search.order, "first");
});

test("the difference of two configurations names the options that only one has", () => {
  const [gdas, darts] = ["gdas", "darts"].map((method) =>
    resolveConfig({ set: [`search.method=${method}`] }),
  );
  const options = diffConfigs(gdas!, darts!).filter(({ key }) => key.startsWith("search.options"));
  assert.deepEqual(options, [
    { key: "search.options.softmax", value: null, reference: "edge" },
    { key: "search.options.temperature", value: 10, reference: null },
    { key: "search.options.temperatureMin", value: 0.1, reference: null },
    { key: "search.options.fixedReduction", value: false, reference: null },
  ]);
});

test("every method has its published and its quick settings, which name it and its source", () => {
  const presets = methodPresets();
  for (const { name } of declaredMethods()) {
    for (const preset of [name, `${name}-quick`]) {
      const { source, notes } = presets[preset]!;
      assert.match(source!.paper, /\b[A-Z]+ 20\d\d$/);
      // One paper of theirs stands in its proceedings alone.
      if (name !== "i-darts") assert.match(source!.arxiv!, /^\d{4}\.\d{5}$/);
      assert.ok(Array.isArray(notes));
      const config = resolveConfig({ preset });
      assert.equal(config.search.method, name);
      const { check, options } = findMethod(name);
      assert.doesNotThrow(() => check?.(config, options.parse(config.search.options)));
    }
  }
});

test("partial channels that leave an odd number of channels are refused before anything is made", () => {
  const { check, options } = findMethod("pc-darts");
  const config = resolveConfig({ preset: "pc-darts", flags: { "search.channels": "12" } });
  const message = mistake(() => check!(config, options.parse(config.search.options)));
  assert.match(
    message,
    /partialChannels is 4, but search\.channels is 12: their ratio is 3, .* multiple of 8\.$/,
  );
});

test("options that contradict each other or the channels are refused before anything is made", () => {
  const refusal = (method: string, flags: Readonly<Record<string, string>>) => {
    const { check, options } = findMethod(method);
    const config = resolveConfig({ preset: method, flags });
    return mistake(() => check!(config, options.parse(config.search.options)));
  };
  assert.match(
    refusal("pc-darts", { "search.options.softmax": "node" }),
    /softmax is node and .*edgeNormalization is true: .* Set search\.options\.edgeNormalization to false/,
  );
  const fixed = { "search.options.fixedReduction": "true" };
  assert.match(
    refusal("gdas", { ...fixed, "search.channels": "6" }),
    /search\.channels is 6, .* multiple of 4/,
  );
  assert.match(
    refusal("gdas", { ...fixed, "train.channels": "10" }),
    /train\.channels is 10, .* multiple of 4/,
  );
});

test("a method that is added at run time has its options in configurations and flags at once", () => {
  const options = z.strictObject({ strength: z.number().min(0).default(1).describe("how strong") });
  const { presets } = findMethod("darts");
  const source = { paper: "none", arxiv: "0000.00000", code: "none" };
  declareMethod({ name: "mine", source, options, orders: ["first"], presets });
  const { search } = resolveConfig({ set: ["search.method=mine", "search.options.strength=2"] });
  assert.deepEqual(search.options, { strength: 2 });
  assert.ok(configFlags().some(({ usage }) => usage === "--search-options-strength <number>"));
  assert.match(
    mistake(() => declareMethod({ name: "mine", source, options, orders: ["first"], presets })),
    /already a search method mine/,
  );
});
