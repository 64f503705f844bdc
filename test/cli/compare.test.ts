// `darts compare` as a user meets it: the table and its sentences by what they say, one object for machines, mistakes.
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { compareRuns } from "../../src/library/compare-runs.ts";
import { fabricate } from "../compare/fabricate.ts";
import { commandLine } from "./command-line.ts";

const { folder, darts, remove } = commandLine();
after(remove);
const root = join(folder, "runs");

before(() => {
  const peakMB = [900, 1_234];
  fabricate(root, "darts-1", { seed: 1, top1: 0.6, random: [0.5, 0.52], seconds: 100, peakMB });
  fabricate(root, "darts-2", { seed: 2, top1: 0.61, random: [0.51], seconds: 140, peakMB });
  fabricate(root, "gdas-1", { seed: 1, preset: "gdas-quick", top1: 0.5, peakMB });
  fabricate(root, "gdas-2", { seed: 2, preset: "gdas-quick", top1: 0.54, peakMB, cell: "DARTS_V1" });
  fabricate(root, "sgas-1", { seed: 1, preset: "sgas-quick", top1: 0.525, peakMB });
  fabricate(root, "sgas-2", { seed: 2, preset: "sgas-quick", until: "first epoch" });
});

/** The cells of the first line of `text` that begins with `name`. */
function rowOf(text: string, name: string): string[] {
  const line = text.split("\n").find((one) => one.startsWith(name));
  assert.ok(line, `no line of ${name} in\n${text}`);
  return line.slice(name.length).trim().split(/ {2,}/);
}

test("the table has a row for each group and one for the random cells", () => {
  const { code, stdout, stderr } = darts(["compare", "runs"]);
  assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
  const heading = ["seeds", "skips", "parameters", "multiply-adds", "search", "memory", "supernet", "top-1"];
  assert.deepEqual(stdout.split("\n")[0]!.trim().split(/ {2,}/), heading);
  const [seeds, skips, params, macs, ...rest] = rowOf(stdout, "darts ");
  assert.deepEqual([seeds, skips], ["1 2", "2"]); // of DARTS_V2
  assert.match(`${params} ${macs}`, /^[\d,]+ \d+\.\d\d M$/);
  assert.deepEqual(rest, ["2 min 0 s", "1,234 MB", "40.00 %", "60.50 ± 0.71 % (n 2)"]);
  assert.equal(rowOf(stdout, "random cells").at(-1), "51.00 ± 1.00 % (n 3)");
  assert.equal(rowOf(stdout, "sgas ").at(-1), "52.50 % (n 1)");
});

test("sentences say how sure a difference from the random cells is, and no more", () => {
  const { stdout } = darts(["compare", "runs"]);
  assert.match(
    stdout,
    /^darts: 9\.50 points above the random cells \(standard error 0\.76, 95 % interval \S+ to \S+, Welch's t 12\.\d+ on 2\.\d degrees of freedom, p 0\.00\d\): better than chance explains\.$/m,
  );
  assert.match(stdout, /^gdas: 1\.00 points above .*: within noise\.$/m);
  assert.match(
    stdout,
    /^sgas: 1\.50 points above the random cells \(n 1 and 3\); chance cannot be told from a difference before there are two of each\.$/m,
  );
  assert.match(stdout, /"Within noise" does not mean equal.* p is corrected for 2 groups \(Holm\)\./);
  assert.match(stdout, /^ {2}search\.epochs: 4 \(darts\) · 12 \(gdas\) · 10 \(sgas\)$/m);
  assert.doesNotMatch(stdout, /search\.options|search\.method/);
  assert.match(
    stdout,
    /^runs\/sgas-2 is unfinished \(in the search, epoch 1 of 10\): it counts as far as it has come\.$/m,
  );
});

test("--runs lists each run with its genotype", () => {
  const without = darts(["compare", "runs"]).stdout;
  const { stdout } = darts(["compare", "runs", "--runs"]);
  assert.ok(stdout.startsWith(without.trimEnd()));
  const [method, seed, , , , ...rest] = rowOf(stdout, "runs/darts-1 ");
  assert.deepEqual(
    [method, seed, ...rest],
    ["darts", "1", "1 min 40 s", "1,234 MB", "40.00 %", "60.00 %", "50.00 %, 52.00 %"],
  );
  assert.deepEqual(rowOf(stdout.slice(without.length), "runs/sgas-2 ").slice(0, 4), ["sgas", "2", "–", "–"]);
  assert.match(stdout, /^runs\/gdas-2\n {2}Genotype\(normal=\[\('sep_conv_3x3', 1\)/m);
});

test("--json prints what the library gives", async () => {
  const { stdout } = darts(["compare", "runs/darts-1", "runs/gdas-1", "--json"]);
  const expected = await compareRuns([join(root, "darts-1"), join(root, "gdas-1")]);
  const relative = JSON.parse(JSON.stringify(expected).replaceAll(`${root}/`, "runs/"));
  assert.deepEqual(JSON.parse(stdout), relative);
});

test("what is no run is refused by name, and so is naming none", () => {
  for (const [args, message] of [
    [["compare", "nowhere"], /^darts: nowhere is not the folder of a run\. Expected/],
    [["compare", "."], /^darts: \. holds no runs: expected/],
    [["compare"], /missing required argument 'run'/],
  ] as const) {
    const { code, stdout, stderr } = darts(args);
    assert.match(stderr, message);
    assert.deepEqual({ code, stdout }, { code: 2, stdout: "" });
  }
});
