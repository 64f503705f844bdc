// The flat list of keys, the flags made from it, and the proof that no key is a dead letter.
import assert from "node:assert/strict";
import { test } from "node:test";
import { configFlags } from "../../src/config/flags.ts";
import { formatConfig } from "../../src/config/format.ts";
import { configKey, configKeys, configSections, optionKeys } from "../../src/config/keys.ts";
import { resolveConfig } from "../../src/config/load.ts";
import { allPresets } from "../../src/config/presets.ts";

test("every key has a description, an expectation and its default from the schema", () => {
  const defaults = resolveConfig({});
  for (const key of configKeys()) {
    assert.notEqual(key.description, "", key.path);
    assert.notEqual(key.expected, "", key.path);
    const value = key.path
      .split(".")
      .reduce<unknown>((at, step) => (at as Record<string, unknown>)[step], defaults);
    assert.deepEqual(key.default, value, key.path);
  }
});

test("keys know their kind, their choices and whether they may be null", () => {
  assert.deepEqual(configSections(), ["data", "space", "search", "guard", "budget", "train"]);
  const { kind, nullable, choices } = configKey("train.stem")!;
  assert.deepEqual(
    { kind, nullable, choices },
    { kind: "text", nullable: false, choices: ["cifar", "imagenet"] },
  );
  assert.equal(configKey("data.path")!.nullable, true);
  assert.equal(configKey("data.trainImages")!.expected, "a whole number, at least 1, or null");
});

test("flags are spelled after their keys, each once", () => {
  const usages = configFlags().map(({ usage }) => usage);
  assert.ok(usages.includes("--seed <integer>"));
  assert.ok(usages.includes("--search-batch-size <integer>"));
  assert.ok(usages.includes("--train-auxiliary <true|false>"));
  assert.ok(usages.includes("--search-order <first|second|joint|alternating>"));
  const options = new Set(optionKeys().map(({ path }) => path));
  assert.equal(usages.length, configKeys().length + options.size);
  assert.equal(new Set(usages).size, usages.length);
});

test("any value of every key survives the way through its flag", () => {
  for (const { path, default: value } of configKeys()) {
    const text = Array.isArray(value) ? value.join(",") : String(value);
    assert.deepEqual(resolveConfig({ flags: { [path]: text } }), resolveConfig({}), path);
  }
});

test("every preset is a valid configuration", () => {
  for (const [key, { name, description }] of Object.entries(allPresets())) {
    assert.equal(name, key);
    assert.notEqual(description, "");
    assert.equal(resolveConfig({ preset: name }).space.nodes, 4);
  }
});

test("a printed preset marks the lines that differ from the reference and no others", () => {
  const reference = { name: "paper", config: resolveConfig({ preset: "paper" }) };
  const text = formatConfig(resolveConfig({ preset: "paper", set: ["search.epochs=3"] }), { reference });
  assert.deepEqual(text.match(/^.*#.*$/gm), ["  epochs: 3 # paper: 50"]);
});
