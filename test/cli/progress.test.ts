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
