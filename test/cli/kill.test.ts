// A run killed at any moment, again and again, comes to the same bytes as one that was never killed.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createGenerator } from "../../src/random/generator.ts";
import { assertSameRun, type Killed, killOften, succeed, writeTinyProblem } from "../support/killing.ts";

const root = mkdtempSync(join(tmpdir(), "darts-kill-"));
after(() => rmSync(root, { recursive: true }));
before(() => writeTinyProblem(root));

const settings = ["--config", join(root, "tiny.yaml")];
/** Checkpoints after every step, and at the ends of epochs alone. */
const OFTEN = ["--checkpoint-seconds", "0"];
const VICTIMS: readonly (readonly [name: string, command: readonly string[], kills: number])[] = [
  ["run, saved after every step", ["run", ...settings, ...OFTEN], 6],
  ["run, saved after every epoch", ["run", ...settings], 4],
  [
    "search, second order, saved after every step",
    ["search", ...settings, ...OFTEN, "--search-order", "second"],
    3,
  ],
  [
    "search by P-DARTS, over three stages",
    [
      ...["search", ...settings, ...OFTEN, "--search-method", "p-darts", "--search-epochs", "4"],
      ...["--search-options-add-cells", "0,1,2", "--search-options-drop-operations", "0,1,1"],
    ],
    3,
  ],
  [
    "search by SGAS, over two decisions",
    [
      ...["search", ...settings, ...OFTEN, "--search-method", "sgas", "--search-epochs", "4"],
      ...["--search-options-decide-from-epoch", "0", "--search-options-decide-every", "1"],
      ...["--search-options-batch-growth", "1", "--search-options-criterion", "2"],
    ],
    3,
  ],
  [
    "search by R-DARTS with an eigenvalue in every epoch",
    ["search", ...settings, ...OFTEN, "--search-method", "r-darts", "--search-options-eigenvalue-every", "1"],
    3,
  ],
  ["train, saved after every step", ["train", "random", ...settings, ...OFTEN], 3],
];

const done: Killed[] = [];
// Two at a time: each pair of a killed run and its reference waits for processes of its own.
test("a run that is killed and resumed comes to the same bytes", { concurrency: 2 }, async (context) => {
  const tests = VICTIMS.map(([name, command, kills], i) =>
    context.test(name, async () => {
      const [reference, folder] = ["reference", "killed"].map((kind) => join(root, `${kind}-${i}`));
      for (const path of [reference!, folder!]) mkdirSync(path);
      await succeed(reference!, [...command, "--name", "it"]);
      const killed = await killOften(folder!, command, { kills, generator: createGenerator(7, name) });
      done.push(killed);
      assertSameRun(folder!, reference!);
    }),
  );
  await Promise.all(tests);
  const sum = (which: keyof Killed) => done.reduce((total, killed) => total + killed[which], 0);
  context.diagnostic(`${sum("kills")} kills, ${sum("halfWritten")} of them while a file was written`);
  assert.ok(sum("kills") >= 20, `${sum("kills")} kills`);
  assert.ok(sum("halfWritten") >= 2, `${sum("halfWritten")} kills left a half-written file`);
});
