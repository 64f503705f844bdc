// The collapse guard on made-up epochs and in a search that it stops; the choice of the epoch whose cell is taken.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { resolveConfig } from "../../src/config/load.ts";
import type { Edge, Genotype } from "../../src/genotype/genotype.ts";
import { type LoggedEvent, readEvents } from "../../src/run/events.ts";
import { CollapseGuard, type WatchedEpoch } from "../../src/run/guard.ts";
import { searchCommand } from "../../src/run/jobs.ts";
import { checkConfig } from "../../src/run/preflight.ts";
import { selectEpoch } from "../../src/run/select.ts";
import { RUN, writeTinyProblem } from "../support/killing.ts";
import { toyConfig } from "../support/toy-problem.ts";

const root = mkdtempSync(join(tmpdir(), "darts-guard-"));
const home = process.cwd();
after(() => {
  process.chdir(home);
  rmSync(root, { recursive: true });
});

/** A cell of two nodes with so many skip connections. */
function cellOf(skips: number): Genotype {
  const edges = [0, 1, 0, 1].map((from, i): Edge => [i < skips ? "skip_connect" : "sep_conv_3x3", from]);
  return { normal: edges, normalConcat: [2, 3], reduce: edges, reduceConcat: [2, 3] };
}

function epochOf(epoch: number, skips: number, more: Partial<WatchedEpoch> = {}): WatchedEpoch {
  return {
    epoch,
    genotype: cellOf(skips),
    skipCount: { normal: skips, reduce: skips },
    entropy: { normal: 1, reduce: 1 },
    evenEntropy: { normal: 2, reduce: 2 },
    ...more,
  };
}

const settings = toyConfig({ "guard.skips": 3 }).guard;

test("skips: it fires once, at the first epoch with too many, and shows the cell before and then", () => {
  const guard = new CollapseGuard(settings);
  const fired = [1, 2, 3, 4].map((skips, epoch) => guard.observe(epochOf(epoch, skips)));
  assert.deepEqual(
    fired.map((ends) => ends.map(({ rule, back }) => [rule, back])),
    [[], [], [["skips", 1]], []],
  );
  const { message, kind, epoch, back } = guard.event(fired[2]![0]!, 2);
  assert.deepEqual([kind, epoch, back], ["collapse", 2, 1]);
  const [reason, before, now] = message.split(/\nNormal cell of epoch \d:\n/);
  assert.match(reason!, /the rule skips: the normal cell has 3 skip connections, expected fewer than 3/);
  assert.equal(before!.split("skip_connect").length - 1, 2);
  assert.equal(now!.split("skip_connect").length - 1, 3);
});

test("entropy and eigenvalue fire by their own rules, and neither when it is not watched or the guard is off", () => {
  const decided = { entropy: { normal: 0.09, reduce: 1 } };
  const watch = (guard: CollapseGuard) =>
    Array.from({ length: 30 }, (_, epoch) =>
      guard
        .observe(
          epochOf(epoch, 0, {
            ...(epoch >= 5 && decided),
            ...(epoch % 2 === 0 && { eigenvalue: 0.1 * 1.04 ** epoch }),
          }),
        )
        .map(({ rule, back }) => [rule, epoch, back]),
    ).flat();
  assert.deepEqual(watch(new CollapseGuard(settings)), [
    ["entropy", 5, 4],
    ["eigenvalue", 22, 10],
  ]);
  const unwatched = { ...settings, entropy: null, eigenvalueGrowth: null, skips: null };
  assert.deepEqual(watch(new CollapseGuard(unwatched)), []);
  assert.deepEqual(watch(new CollapseGuard({ ...settings, action: "off" })), []);
});

test("the epoch taken is the last, the best, or the one before a rule fired", () => {
  const accuracies = [0.2, 0.5, 0.5, 0.4];
  const epochs = accuracies.map((validAccuracy, epoch) => ({ type: "search-epoch", epoch, validAccuracy }));
  const fired = { type: "health", kind: "collapse", epoch: 2, back: 1, rule: "skips" };
  const log = [...epochs.slice(0, 3), fired, ...epochs.slice(3)] as unknown as LoggedEvent[];
  const chosen = (select: "last" | "best-validation" | "guard", events = log) =>
    selectEpoch(select, events).selection;
  assert.equal(chosen("last").epoch, 3);
  assert.equal(chosen("best-validation").epoch, 1);
  assert.deepEqual(chosen("guard"), {
    select: "guard",
    epoch: 1,
    reason: "before the rule skips fired at epoch 3",
  });
  assert.equal(chosen("guard", epochs as unknown as LoggedEvent[]).epoch, 3);
});

test("a choice of the epoch that a search can never make is refused", () => {
  const oneLevel = toyConfig({ "search.order": "joint", "search.select": "best-validation" });
  assert.throws(() => checkConfig(oneLevel, { searches: true }), {
    name: "UserError",
    message: /keeps no images for a validation/,
  });
  const check = (settings: Readonly<Record<string, string | boolean>>) =>
    checkConfig(toyConfig({ "search.select": "guard", "guard.action": "off", ...settings }), {
      searches: true,
    });
  const ofMethod = { "search.method": "r-darts", "search.order": "first" };
  for (const settings of [{}, { ...ofMethod, "search.options.earlyStop": false }])
    assert.throws(
      () => check(settings),
      /search\.select is guard, but guard\.action is off and .* has no rule/,
    );
  check(ofMethod);
  check({ "guard.action": "warn" });
});

test("a guard that stops ends the search there, logs it and takes the epoch before", async () => {
  writeTinyProblem(root);
  mkdirSync(join(root, "stop"));
  process.chdir(join(root, "stop"));
  const lines: string[] = [];
  const reporter = {
    log: (line: string) => lines.push(line),
    progress: () => ({ update() {}, line() {}, stop() {} }),
  };
  const config = (action: string, more: Readonly<Record<string, unknown>> = {}) =>
    resolveConfig({
      file: join(root, "tiny.yaml"),
      flags: {
        "space.primitives": ["none", "skip_connect"],
        "search.epochs": 4,
        "guard.action": action,
        "search.select": "guard",
        ...more,
      },
    });
  const search = (action: string, name: string, more = {}) =>
    searchCommand(config(action, more), { root: "runs", name, preset: undefined, reporter });
  const { json } = await search("stop", "it");
  const outcome = (json as { search: { epochs: number; selection: unknown } }).search;
  assert.equal(outcome.epochs, 1);
  assert.deepEqual(outcome.selection, {
    select: "guard",
    epoch: 0,
    reason: "before the rule skips fired at epoch 1",
  });
  const health = readEvents(join(RUN, "events.jsonl")).filter((event) => event.type === "health");
  assert.equal(health.filter(({ kind }) => kind === "collapse").length, 1);
  assert.ok(lines.some((line) => /Look at this: .*collapse, by the rule skips/.test(line)));

  const warned = await search("warn", "warned");
  assert.equal((warned.json as { search: { epochs: number } }).search.epochs, 4);

  // Cells that are drawn, not learned, do not collapse.
  const drawn = await search("stop", "drawn", { "search.method": "random" });
  assert.equal((drawn.json as { search: { epochs: number } }).search.epochs, 4);
});
