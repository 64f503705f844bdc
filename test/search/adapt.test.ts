// R-DARTS' adaptive form: where it goes back to and with what, that the steps from there are DARTS' under the raised weight
// decay, that an interruption changes no byte, and what a run's log says of it.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { resolveConfig } from "../../src/config/load.ts";
import { findMethod } from "../../src/methods/table.ts";
import { cosine } from "../../src/optim/schedule.ts";
import { loadCheckpoint, saveCheckpoint } from "../../src/run/checkpoint.ts";
import { readEvents } from "../../src/run/events.ts";
import { searchCommand } from "../../src/run/jobs.ts";
import { checkConfig } from "../../src/run/preflight.ts";
import { Search } from "../../src/search/search.ts";
import { seed } from "../../src/tensor/runtime.ts";
import { scope } from "../../src/tensor/scope.ts";
import { assertClose } from "../support/assert-close.ts";
import { RUN, writeTinyProblem } from "../support/killing.ts";
import { counted } from "../support/leak-free.ts";
import { mistake } from "../support/mistake.ts";
import { fingerprint, toyConfig, toyDataset } from "../support/toy-problem.ts";

const dataset = toyDataset();
const folder = mkdtempSync(join(tmpdir(), "darts-adapt-"));
const home = process.cwd();
after(() => {
  process.chdir(home);
  rmSync(folder, { recursive: true });
});

/** Every measurement is compared with the one before it: any growth above a tenth sends the search back by one epoch. */
const NEAR = {
  "search.method": "r-darts",
  "search.order": "first",
  "search.epochs": 6,
  "search.select": "last",
  "search.options.adapt": true,
  "search.options.weightDecayFactor": 10,
  "search.options.weightDecayMax": 0.03,
  "search.options.eigenvalueEvery": 1,
  "search.options.window": 1,
  "search.options.delta": 1,
  "search.options.factor": 1.1,
  "search.options.startEpoch": 0,
};

const begin = (settings: Readonly<Record<string, unknown>> = {}) =>
  new Search(toyConfig({ ...NEAR, ...settings }), dataset);

function finishEpoch(search: Search, eigenvalue: number): void {
  while (search.step < search.stepsPerEpoch) search.runStep();
  search.endEpoch(undefined, eigenvalue);
}

/** What the steps move, as bytes. */
function learned(search: Search): Record<string, string> {
  const parts = ["weights/", "alphas/", "weight-optimizer/", "arch-optimizer/"];
  return Object.fromEntries(
    Object.entries(fingerprint(search)).filter(([name]) => parts.some((part) => name.startsWith(part))),
  );
}

test(
  "when the average grows it goes back to all that the epoch before ended with, and has as many epochs again",
  counted(() => {
    using search = begin();
    const states: Record<string, string>[] = [];
    for (const eigenvalue of [1, 1]) {
      finishEpoch(search, eigenvalue);
      states.push(learned(search));
    }
    assert.notDeepEqual(states[1], states[0]);
    finishEpoch(search, 1.09);
    assert.equal(search.wentBack, undefined);
    assert.deepEqual([search.epoch, search.epochs], [3, 6]);
    states.push(learned(search));
    finishEpoch(search, 1.3);
    assert.deepEqual(learned(search), states[2]);
    const { rule, back, reason } = search.wentBack!;
    assert.deepEqual([rule, back], ["eigenvalue", 2]);
    assert.match(reason, /has grown 1\.19 times; the search goes back and on with a weight decay of 0\.003$/);
    assert.deepEqual([search.epoch, search.epochs, search.ended], [4, 7, undefined]);

    // The measurements are those of then: 1.19 is no growth of a tenth above 1.09, 1.3 would be above nothing later.
    finishEpoch(search, 1.19);
    assert.equal(search.wentBack, undefined);
    assertClose(search.learningRate, cosine(0.025, 0.001, 6, 4), 1e-12, "the schedule goes back as well");
    finishEpoch(search, 2);
    assert.equal(search.wentBack!.back, 4);
    assertClose(search.method.weightDecay!(), 0.03, 1e-12, "the maximum");
    // From then on nothing stops it.
    for (const eigenvalue of [4, 8]) {
      assert.ok(!search.finished);
      finishEpoch(search, eigenvalue);
      assert.equal(search.wentBack, undefined);
    }
    assert.deepEqual([search.epoch, search.finished, search.ended], [8, true, undefined]);
  }),
);

test(
  "it can go back again from where it went back to, and further, to an epoch of before",
  counted(() => {
    using search = begin({ "search.options.delta": 2, "search.options.weightDecayFactor": 3 });
    const states: Record<string, string>[] = [];
    for (const eigenvalue of [1, 1.05, 1.1, 1.15]) {
      finishEpoch(search, eigenvalue);
      states.push(learned(search));
    }
    finishEpoch(search, 2); // above 1.1 of two epochs before
    assert.equal(search.wentBack!.back, 2);
    assert.deepEqual(learned(search), states[2]);
    finishEpoch(search, 2); // above 1.05: two before the one that it went back to
    assert.equal(search.wentBack!.back, 1);
    assert.deepEqual(learned(search), states[1]);
    assertClose(search.method.weightDecay!(), 0.0027, 1e-12, "raised twice");
    assert.equal(search.epochs, 6 + 2 + 2);
  }),
);

test(
  "its steps from there are those of DARTS under the raised weight decay",
  counted(() => {
    const constant = { "search.learningRateMin": 0.025 };
    using search = begin(constant);
    finishEpoch(search, 1);
    finishEpoch(search, 2);
    assert.equal(search.wentBack!.back, 0);
    const plain = { ...constant, "search.method": "darts", "search.order": "first", "search.epochs": 6 };
    const step = (weightDecay: number) => {
      using darts = new Search(toyConfig({ ...plain, "search.weightDecay": weightDecay }), dataset);
      scope(() => darts.restore(search.snapshot()));
      darts.runStep();
      return learned(darts);
    };
    const [own, raised] = [step(3e-4), step(3e-4 * 10)];
    search.runStep();
    assert.deepEqual(learned(search), raised);
    assert.notDeepEqual(learned(search), own);
  }),
);

test(
  "a search resumed before or after it went back comes to the very same bytes",
  counted(() => {
    const eigenvalues = [1, 1.05, 1, 1.5, 1, 1.05, 2, 1, 1, 1];
    const settings = { seed: 5, "search.epochs": 8 };
    const goOn = (search: Search, stop = Number.POSITIVE_INFINITY) => {
      while (!search.finished && search.epoch < stop) finishEpoch(search, eigenvalues[search.epoch]!);
      return fingerprint(search);
    };
    using whole = begin(settings);
    const expected = goOn(whole);
    assert.equal(whole.epochs, 10, "it went back twice");
    for (const stop of [1, 3, 4, 6]) {
      const path = join(folder, `${stop}.safetensors`);
      using first = begin(settings);
      goOn(first, stop);
      first.runStep();
      scope(() => saveCheckpoint(path, first.snapshot()));
      seed(987654);
      using resumed = begin(settings);
      scope(() => resumed.restore(loadCheckpoint(path)));
      assert.deepEqual(goOn(resumed), expected, `resumed in epoch ${stop}`);
    }
  }),
);

test("a run says in its log and report when it went back and to which penalty, counts its epochs on, and ends", async () => {
  writeTinyProblem(folder);
  process.chdir(folder);
  const lines: string[] = [];
  const reporter = {
    log: (line: string) => lines.push(line),
    progress: () => ({ update() {}, line: (line: string) => lines.push(line), stop() {} }),
  };
  const options = Object.fromEntries(Object.entries(NEAR).filter(([key]) => key !== "search.epochs"));
  const config = resolveConfig({
    file: "tiny.yaml",
    flags: { ...options, "search.epochs": 4, "search.options.factor": 1.000001 },
  });
  const { text } = await searchCommand(config, { root: "runs", name: "it", preset: undefined, reporter });
  const events = readEvents(join(RUN, "events.jsonl"));
  const epochs = events.filter((event) => event.type === "search-epoch");
  const backs = events.filter((event) => event.type === "health" && event.kind === "collapse");
  assert.ok(backs.length > 0, "some eigenvalue grew");
  assert.deepEqual(
    epochs.map(({ epoch }) => epoch),
    Array.from({ length: 4 + backs.length }, (_, epoch) => epoch),
  );
  const decays = epochs.map(({ figures }) => figures!["weightDecay"]!);
  assert.equal(decays[0], 3e-4);
  assertClose(decays.at(-1)!, 3e-4 * 10 ** backs.length, 1e-12, "raised once for each");
  assert.match(text, /Look at this:.*goes back and on with a weight decay of 0\.003/s);
  assert.match(text, new RegExp(`search: ${epochs.length} epochs in .* epoch ${epochs.length}, the last`));
  assert.ok(lines.some((line) => line.startsWith(`epoch ${epochs.length}/${epochs.length} `)));
});

test("the preset is that of the code's script, and options that do nothing are refused", () => {
  const preset = resolveConfig({ preset: "r-darts-ada" });
  checkConfig(preset, { searches: true });
  const { adapt, weightDecayFactor, weightDecayMax } = preset.search.options;
  assert.deepEqual(
    [adapt, weightDecayFactor, weightDecayMax, preset.search.weightDecay, preset.search.order],
    [true, 10, 0.03, 3e-4, "second"],
  );
  const refusal = (flags: Readonly<Record<string, unknown>>) => {
    const { check, options } = findMethod("r-darts");
    const config = resolveConfig({ flags: { "search.method": "r-darts", ...flags } });
    return mistake(() => check!(config, options.parse(config.search.options)));
  };
  assert.match(refusal({ "search.options.weightDecayMax": 1 }), /weightDecayMax is 1, but .*adapt is false/);
  assert.match(
    refusal({ "search.options.weightDecayFactor": 2 }),
    /weightDecayFactor is 2, but .*adapt is false/,
  );
  const adapted = { "search.options.adapt": true, "search.select": "last" };
  assert.match(refusal({ ...adapted, "search.options.earlyStop": false }), /earlyStop is false, whose rule/);
  assert.match(refusal({ ...adapted, "search.weightDecay": 0 }), /search\.weightDecay is 0, but .*above 0/);
  assert.match(
    refusal({ ...adapted, "search.weightDecay": 0.1 }),
    /search\.weightDecay is 0\.1, but .*below/,
  );
  assert.match(
    refusal({ "search.options.adapt": true }),
    /search\.select is guard, but .*last or best-validation/,
  );
});
