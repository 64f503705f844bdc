// The library as a program uses it: jobs with typed reports, events, an abort signal; and every export explained.
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import {
  type ConfigInput,
  completeConfig,
  configOf,
  defineDataset,
  derive,
  type LoggedEvent,
  test as measure,
  readEvents,
  register,
  run,
  search,
  train,
} from "../../src/index.ts";
import { toyDataset } from "../support/toy-problem.ts";

const root = mkdtempSync(join(tmpdir(), "darts-library-"));
after(() => rmSync(root, { recursive: true }));

register(
  defineDataset({ name: "toy", description: "bands", load: () => toyDataset({ channels: 1, images: 24 }) }),
);

const TINY: ConfigInput = {
  threads: 1,
  data: { name: "toy", cropPadding: 1 },
  space: { nodes: 2, stemMultiplier: 1, primitives: ["none", "skip_connect", "max_pool_3x3"] },
  search: { channels: 2, cells: 3, epochs: 2, batchSize: 4 },
  train: { channels: 2, cells: 3, epochs: 1, batchSize: 8, cutout: 0, auxiliary: false, randomCells: 1 },
};

test("run searches and trains, tells its events as they are logged, and its folder answers later questions", async () => {
  const events: LoggedEvent[] = [];
  const report = await run(TINY, { root, name: "whole", onEvent: (event) => events.push(event) });
  assert.deepEqual(events, readEvents(join(report.run, "events.jsonl")));
  assert.deepEqual(
    report.trained.map(({ cell }) => cell),
    ["found", "random-1"],
  );
  assert.deepEqual(await derive(report.run), report.search.genotype);
  const { top1, images } = await measure(report.run, { cell: "random-1" });
  assert.deepEqual({ top1, images }, { top1: report.trained[1]!.last.top1, images: report.testImages });
  assert.deepEqual(await configOf(report.run), await completeConfig(TINY));
});

test("settings bring what their space and their method say", async () => {
  const { space, search } = await completeConfig({ space: { name: "s2" }, search: { method: "r-darts" } });
  assert.deepEqual(space.primitives, ["skip_connect", "sep_conv_3x3"]);
  assert.deepEqual([search.order, search.select, search.options["window"]], ["second", "guard", 5]);
  await assert.rejects(completeConfig({ space: { name: "s1", nodes: 2 } }), {
    name: "UserError",
    message: /^config: space\.nodes is 2, but the space s1/,
  });
});

test("search and train are the two halves: the cell of the one is given to the other", async () => {
  const { search: found, trained, testOpenedBy } = await search(TINY, { root, name: "first" });
  assert.deepEqual([found.epochs, trained, testOpenedBy], [2, [], []]);
  for (const cell of [found.genotype, join(root, "first"), "random", "DARTS_V2"]) {
    const report = await train(TINY, cell, { root });
    assert.equal(report.trained.length, 1);
    if (typeof cell !== "string") assert.deepEqual(report.trained[0]!.genotype, cell);
  }
});

test("an aborted signal ends a search after its step; its folder keeps what was logged", async () => {
  const controller = new AbortController();
  const steps: number[] = [];
  const job = search(TINY, {
    root,
    name: "aborted",
    signal: controller.signal,
    onEvent({ type }) {
      if (type === "search-step" && steps.push(1) === 2) controller.abort();
    },
  });
  await assert.rejects(job);
  assert.equal(steps.length, 2);
  const logged = readEvents(join(root, "aborted", "events.jsonl"));
  assert.equal(logged.filter(({ type }) => type === "search-step").length, 2);
  assert.ok(!existsSync(join(root, "aborted", "report.json")));
});

test("settings are checked as those of a file are", async () => {
  await assert.rejects(search({ ...TINY, search: { epoch: 3 } } as ConfigInput), {
    name: "UserError",
    message: /^config: unknown key search\.epoch\. Did you mean search\.epochs/,
  });
  await assert.rejects(search({ ...TINY, data: { name: "toi" } }), { message: /did you mean "toy"/ });
});

test("every export of the library has a docstring", () => {
  const entry = fileURLToPath(new URL("../../../src/index.ts", import.meta.url));
  const { config } = ts.readConfigFile(join(entry, "../../tsconfig.json"), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, join(entry, "../.."));
  const program = ts.createProgram([entry], { ...options, incremental: false, noEmit: true });
  const checker = program.getTypeChecker();
  const module = checker.getSymbolAtLocation(program.getSourceFile(entry)!)!;
  const bare = checker.getExportsOfModule(module).filter((symbol) => {
    const target = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
    return target.getDocumentationComment(checker).length === 0;
  });
  assert.deepEqual(
    bare.map(({ name }) => name),
    [],
  );
  assert.ok(checker.getExportsOfModule(module).length > 100);
  assert.match(readFileSync(entry, "utf8"), /^\/\/ The library's entry/);
});
