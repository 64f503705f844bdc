// A hundred kills over ten runs of every kind, each compared with one that was never killed.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createGenerator } from "../../src/random/generator.ts";
import { assertSameRun, killOften, succeed, writeTinyProblem } from "../support/killing.ts";

const KILLS = 100;
const root = mkdtempSync(join(tmpdir(), "darts-soak-"));
after(() => rmSync(root, { recursive: true }));
before(() => writeTinyProblem(root));

const often = ["--checkpoint-seconds", "0"];
const COMMANDS: readonly (readonly string[])[] = [
  ["run", ...often],
  ["run", "--checkpoint-seconds", "0.05"],
  ["run", "--threads", "2", ...often],
  ["search", "--search-order", "second", ...often],
  ["search", "--search-order", "joint"],
  ["train", "random", ...often],
];

test(`${KILLS} kills leave no trace`, async (context) => {
  let kills = 0;
  let halfWritten = 0;
  for (let i = 0; kills < KILLS; i++) {
    const [name, ...flags] = COMMANDS[i % COMMANDS.length]!;
    const command = [name!, ...flags, "--config", join(root, "tiny.yaml"), "--seed", String(i)];
    const [reference, folder] = ["reference", "killed"].map((kind) => join(root, `${kind}-${i}`));
    for (const path of [reference!, folder!]) mkdirSync(path);
    await succeed(reference!, [...command, "--name", "it"]);
    const generator = createGenerator(i, "soak");
    const killed = await killOften(folder!, command, { kills: Math.min(12, KILLS - kills), generator });
    assertSameRun(folder!, reference!);
    kills += killed.kills;
    halfWritten += killed.halfWritten;
    context.diagnostic(`${command.join(" ")}: ${killed.kills} kills, ${killed.halfWritten} within a write`);
  }
  context.diagnostic(`${kills} kills, ${halfWritten} within a write: the same bytes`);
  assert.equal(kills, KILLS);
});
