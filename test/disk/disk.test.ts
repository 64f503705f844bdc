// Disks that are full, forbidden or limited, for each kind of file that is written: the error says so and what to do,
// what lay there before is still whole, and no half-written file is left.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { readEvents } from "../../src/run/events.ts";
import { loadSafetensors } from "../../src/run/safetensors.ts";
import { TINY_SETTINGS, writeTinyImages } from "../cli/tiny-run.ts";
import { fill, smallDisk, withFileLimit } from "./full-disk.ts";
import type { Written } from "./write-all.ts";

const WRITE_ALL = fileURLToPath(new URL("./write-all.js", import.meta.url));
const BIN = fileURLToPath(new URL("../../../bin/darts.mjs", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "darts-disk-"));
const disk = smallDisk(join(folder, "small"), 1024);
after(() => {
  disk?.remove();
  rmSync(folder, { recursive: true, force: true });
});

const FULL = /no space is left|disk is (too )?full|may not get so large/;

test("every kind of file is written where there is room", () => {
  assertWritten(writeAll([join(folder, "roomy"), "first"]));
});

test("a limit on files is told for each kind, and what was there is whole", () => {
  const path = join(folder, "limited");
  assertWritten(writeAll([path, "first"]));
  const before = filesIn(path);
  const { stdout, stderr, status } = withFileLimit(0, [WRITE_ALL, path]);
  assert.equal(status, 0, stderr);
  assertRefused(JSON.parse(stdout) as Written[], FULL);
  assert.deepEqual(filesIn(path), before);
});

test("a full disk is told for each kind, and what was there is whole", (context) => {
  if (!disk)
    return context.diagnostic("mounting is not allowed here: the limit on files stands for the full disk");
  assertWritten(writeAll([join(disk.path, "a"), "first"]));
  fill(disk.path);
  assertRefused(writeAll([join(disk.path, "a")]), FULL);
  assert.deepEqual(halfWritten(disk.path), []);
  rmSync(join(disk.path, "filler"));
  assertWritten(writeAll([join(disk.path, "a")]));
});

test("a read-only disk is told for each kind, and what was there is whole", (context) => {
  if (!disk?.readOnly()) return context.diagnostic("mounting is not allowed here: see the path below a file");
  assertRefused(writeAll([join(disk.path, "a")]), /read-only|not allowed \(EROFS\)/);
});

test("a place below a file is told by the real command, wherever it is named", () => {
  writeFileSync(join(folder, "tiny.yaml"), TINY_SETTINGS);
  writeTinyImages(join(folder, "images"));
  writeFileSync(join(folder, "file"), "");
  const darts = (args: string[], env: NodeJS.ProcessEnv = {}) =>
    spawnSync(process.execPath, [BIN, ...args], {
      cwd: folder,
      encoding: "utf8",
      env: { ...process.env, ...env },
    });
  for (const [args, env] of [
    [["run", "--config", "tiny.yaml", "--root", "file/runs"], {}],
    [["show", "DARTS_V2", "--out", "file/drawings"], {}],
    [["data", "get", "mnist"], { DARTS_CACHE: join(folder, "file", "cache") }],
  ] as const) {
    const { status, stderr } = darts([...args], env);
    assert.match(
      stderr,
      /^darts: Cannot (make the folder|write) \S*file\/\S*: a part of the path is a file, not a folder\./m,
    );
    assert.equal(status, 2);
  }
});

// The sizes at which a run breaks off in different places: the settings, the first checkpoint, the weights.
for (const kilobytes of [1, 20, 60]) {
  test(`a run that may write no file above ${kilobytes} kB ends with a sentence, and what it wrote reads well`, () => {
    writeFileSync(join(folder, "tiny.yaml"), TINY_SETTINGS);
    writeTinyImages(join(folder, "images"));
    const name = `limited-${kilobytes}`;
    const { status, stderr } = withFileLimit(
      2 * kilobytes,
      [BIN, "run", "--config", "tiny.yaml", "--name", name],
      folder,
    );
    assert.match(stderr, /^darts: Cannot write \S+: a file may not get so large here\./m);
    assert.equal(status, 2);
    const run = join(folder, "runs", name);
    assert.deepEqual(halfWritten(run), []);
    const names = filesIn(run).map(([file]) => file);
    if (names.includes("events.jsonl")) assert.ok(readEvents(join(run, "events.jsonl")).length > 0);
    for (const file of names.filter((file) => file.endsWith(".safetensors")))
      assert.ok(loadSafetensors(join(run, file)).tensors.size > 0, file);
  });
}

function writeAll(args: readonly string[]): Written[] {
  const { status, stdout, stderr } = spawnSync(process.execPath, [WRITE_ALL, ...args], { encoding: "utf8" });
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout) as Written[];
}

/** Nothing failed but the download, which is no real one. */
function assertWritten(results: readonly Written[]): void {
  for (const { kind, error, lost } of results) {
    if (kind === "download") assert.match(error!.message, /was written all the same/);
    else assert.deepEqual({ kind, error, lost }, { kind, error: undefined, lost: undefined });
  }
  assert.equal(results.length, 9);
}

function assertRefused(results: readonly Written[], message: RegExp): void {
  assert.equal(results.length, 9);
  for (const { kind, error, lost } of results) {
    assert.ok(error, `${kind} was written`);
    assert.match(error.message, message, kind);
    assert.ok(error.isUserError, `${kind}: ${error.message}`);
    assert.match(
      error.message,
      /\. (Free|Raise|Choose|Give|The environment)|, or choose/,
      `${kind} without a remedy`,
    );
    assert.equal(lost, undefined, kind);
  }
}

/** Names and contents of all files below a folder but the log, the only file that grows in place. */
function filesIn(path: string): [string, string][] {
  const names = readdirSync(path, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return names
    .map((entry): [string, string] => [
      join(entry.parentPath, entry.name).slice(path.length + 1),
      join(entry.parentPath, entry.name),
    ])
    .filter(([name]) => !name.startsWith("cache/"))
    .map(([name, file]): [string, string] => [name, readFileSync(file, "latin1")])
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

function halfWritten(path: string): string[] {
  return readdirSync(path, { recursive: true, encoding: "utf8" }).filter((name) => name.includes(".tmp"));
}
