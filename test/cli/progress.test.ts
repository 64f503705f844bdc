// Progress off a terminal: one plain line for each line asked for, on stderr, with the time left.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { formatSeconds } from "../../src/cli/progress.ts";

const module = fileURLToPath(new URL("../../src/cli/progress.js", import.meta.url));

test("off a terminal an epoch is one plain line on stderr, updates are silent and stdout stays empty", () => {
  const script = `
    const { createReporter } = await import(${JSON.stringify(module)});
    const reporter = createReporter();
    reporter.log("started");
    const progress = reporter.progress("search", 4);
    for (let step = 1; step <= 2; step++) progress.update(step, { epoch: "1/2", loss: 2.31234 });
    progress.line("epoch 1/2 · loss 2.31");
    progress.stop();`;
  const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
    encoding: "utf8",
  });
  assert.equal(stdout, "");
  assert.equal(stderr, "started\nsearch: epoch 1/2 · loss 2.31 · 50 %, 0 s left\n");
});

for (const columns of [20, 40, 80, undefined]) {
  test(`a bar is never wider than a terminal of ${columns} columns, and tells the time left`, () => {
    const script = `
      const { createReporter } = await import(${JSON.stringify(module)});
      Object.assign(process.stderr, { isTTY: true, columns: ${columns} });
      const reporter = createReporter();
      const progress = reporter.progress("train random-1", 4);
      const { setTimeout: pause } = await import("node:timers/promises");
      for (let step = 1; step <= 4; step++) {
        progress.update(step, { epoch: "1/2", loss: 2.31234, accuracy: 0.98765 });
        await pause(250);
      }
      progress.stop();
      reporter.close();`;
    const { stderr, status } = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
      encoding: "utf8",
      env: { ...process.env, TERM: "xterm" },
    });
    assert.equal(status, 0, stderr);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: what moves a terminal's cursor
    const drawn = stderr.split(/\u001b\[[0-9;?]*[A-Za-z]|[\r\n]/).filter((line) => line.includes("train"));
    assert.ok(drawn.length >= 3, stderr);
    for (const line of drawn) assert.ok(line.length < (columns ?? 80), `${line.length}: ${line}`);
    if (columns !== 20) assert.match(drawn.at(-1)!, /█{4}░* 100 % · 0 s left/);
  });
}

test("seconds are told as a person would", () => {
  const told = [0, 59.4, 60, 200, 3599, 3600, 7500].map(formatSeconds);
  assert.deepEqual(told, [
    "0 s",
    "59 s",
    "1 min 00 s",
    "3 min 20 s",
    "59 min 59 s",
    "1 h 00 min",
    "2 h 05 min",
  ]);
});
