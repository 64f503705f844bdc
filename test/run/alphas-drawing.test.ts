// What a run keeps of its alphas and betas: in its log, its checkpoints and its picture.
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { loadCheckpoint } from "../../src/run/checkpoint.ts";
import { readEvents } from "../../src/run/events.ts";
import { scope } from "../../src/tensor/scope.ts";
import { assertClose } from "../support/assert-close.ts";
import { RUN, start, succeed, writeTinyProblem } from "../support/killing.ts";

const root = mkdtempSync(join(tmpdir(), "darts-alphas-"));
after(() => rmSync(root, { recursive: true }));
writeTinyProblem(root);

const search = (method: string, name: string) =>
  succeed(root, [
    "search",
    "--config",
    "tiny.yaml",
    "--name",
    name,
    "--search-channels",
    "4",
    "--search-method",
    ...method.split(" "),
  ]);

test("betas are in every epoch's event, in the checkpoints, in the run's picture and in that of darts show --alphas", async () => {
  await search("pc-darts --search-options-partial-channels 2", "it");
  const epochs = readEvents(join(root, RUN, "events.jsonl")).filter((event) => event.type === "search-epoch");
  for (const { edgeLogits } of epochs) assert.equal(edgeLogits!.normal.length, 5);
  const saved = scope(() => {
    const { tensors } = loadCheckpoint(join(root, RUN, "checkpoints", "search-last.safetensors"));
    return ["normal", "reduce"].map((cell) => tensors.get(`alphas/betas_${cell}`)!.toNumbers());
  });
  const { normal, reduce } = epochs.at(-1)!.edgeLogits!;
  assertClose(saved.flat(), [...normal, ...reduce], 1e-7, "betas");

  const picture = readFileSync(join(root, RUN, "alphas.svg"), "utf8");
  assert.equal(picture.match(/class="f"/g)?.length, 20);
  assert.match(picture, /last epoch: .*edge weight 0\.\d+/);
  await succeed(root, ["show", RUN, "--alphas", "--out", "drawings"]);
  assert.equal(readFileSync(join(root, "drawings", "it-alphas.svg"), "utf8"), picture);
  const { stdout } = await succeed(root, ["show", RUN, "--alphas", "--json"]);
  const shown = JSON.parse(stdout) as { epochs: number; normal: { operations: number[][]; edges: number[] } };
  assert.equal(shown.epochs, epochs.length);
  for (const row of shown.normal.operations)
    assertClose(
      row.reduce((a, b) => a + b),
      1,
      1e-12,
      "sum",
    );
  assertClose(shown.normal.edges[0]! + shown.normal.edges[1]!, 1, 1e-12, "edges of a node");
});

test("a run without alphas has no such picture, and is told so", async () => {
  await search("random --search-options-draws 3", "drawn");
  assert.equal(existsSync(join(root, "runs", "drawn", "alphas.svg")), false);
  const { code, stderr } = await start(root, ["show", join("runs", "drawn"), "--alphas"]).ended;
  assert.equal(code, 2);
  assert.match(stderr, /runs\/drawn has no alphas: expected a run of a method that learns them/);
});
