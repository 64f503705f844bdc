// A run's folder: made once, never overwritten, read back whole; and files that are whole or absent.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs, {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { resolveConfig } from "../../src/config/load.ts";
import { writeAtomic } from "../../src/files.ts";
import { findGenotype } from "../../src/genotype/published.ts";
import {
  createRun,
  isRunFolder,
  openRun,
  preparePlace,
  readGenotype,
  readReport,
  saveGenotype,
  saveReport,
} from "../../src/run/run-folder.ts";

const root = mkdtempSync(join(tmpdir(), "darts-run-"));
after(() => rmSync(root, { recursive: true }));
const config = resolveConfig({ preset: "quick" });

test("a new run has a folder for checkpoints and a configuration that opens as it was", () => {
  const run = createRun({ root, name: "first", config });
  assert.deepEqual(readdirSync(run.path).sort(), ["checkpoints", "config.yaml"]);
  assert.deepEqual(openRun(run.path), run);
  assert.equal(isRunFolder(run.path), true);
});

test("a run that is not named is called after the moment and its label, and never like another", () => {
  const names = [1, 2, 3].map(() => createRun({ root, config, label: "quick" }).name);
  assert.equal(new Set(names).size, 3);
  for (const name of names) assert.match(name, /^\d{4}-\d\d-\d\d-\d{6}-quick(-\d)?$/);
});

test("a used folder is refused and left as it is, an empty one is taken", () => {
  mkdirSync(join(root, "used"));
  writeFileSync(join(root, "used", "thesis.txt"), "mine");
  assert.throws(() => createRun({ root, name: "used", config }), {
    name: "UserError",
    message: /choose another --name/,
  });
  assert.deepEqual(readdirSync(join(root, "used")), ["thesis.txt"]);
  mkdirSync(join(root, "empty"));
  assert.equal(createRun({ root, name: "empty", config }).name, "empty");
});

for (const name of ["", ".", "..", "a/b", "a\\b", "/", "a\nb", "\u001b[2J"]) {
  test(`a run cannot be named ${JSON.stringify(name)}`, () => {
    assert.throws(() => createRun({ root, name, config }), {
      name: "UserError",
      message: /plain folder name/,
    });
  });
}

test("what is no run is refused by name", () => {
  mkdirSync(join(root, "other"));
  assert.throws(() => openRun(join(root, "none")), {
    name: "UserError",
    message: /There is no run folder .*none/,
  });
  assert.throws(() => openRun(join(root, "other")), { name: "UserError", message: /has no config\.yaml/ });
  assert.equal(isRunFolder(join(root, "other")), false);
});

test("a run's genotype is kept as JSON, as Python text and drawn, another cell's beside it", async () => {
  const run = createRun({ root, name: "genotype", config });
  assert.throws(() => readGenotype(run), {
    name: "UserError",
    message: /no genotype\.json yet; .*darts derive/,
  });
  const found = findGenotype("DARTS_V2");
  const other = findGenotype("DARTS_V1");
  await saveGenotype(run, found);
  await saveGenotype(run, other, "random-1-");
  assert.deepEqual(readGenotype(run), found);
  assert.deepEqual(readGenotype(run, "random-1-"), other);
  assert.match(readFileSync(run.files.genotypePython, "utf8"), /^Genotype\(normal=\[\('sep_conv_3x3', /);
  for (const drawing of [run.files.normalDrawing, run.files.reduceDrawing]) {
    assert.match(readFileSync(drawing, "utf8"), /<svg.*<\/svg>/s);
  }
});

test("a report reads back; before that the run says that it has not finished", () => {
  const run = createRun({ root, name: "report", config });
  assert.throws(() => readReport(run), { name: "UserError", message: /has not finished/ });
  saveReport(run, { testTop1: 0.5 });
  assert.deepEqual(readReport(run), { testTop1: 0.5 });
});

test("a file is replaced whole and no temporary file is left, also when writing fails", () => {
  const folder = join(root, "atomic");
  mkdirSync(folder);
  const path = join(folder, "file.txt");
  writeAtomic(path, "old");
  writeAtomic(path, [Buffer.from("n"), Buffer.from("ew")]);
  assert.equal(readFileSync(path, "utf8"), "new");
  const failing = function* () {
    yield Buffer.from("half");
    throw new Error("no more");
  };
  assert.throws(() => writeAtomic(path, failing()), /no more/);
  assert.equal(readFileSync(path, "utf8"), "new");
  assert.deepEqual(readdirSync(folder), ["file.txt"]);
});

test("a file is put under a second path and its old content under a third, also without links", () => {
  for (const links of [true, false]) {
    const folder = join(root, `kept-${links}`);
    mkdirSync(folder);
    const [path, also, previous] = ["file", "also", "previous"].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ];
    const { linkSync } = fs;
    if (!links) {
      fs.linkSync = () => {
        throw Object.assign(new Error("no links here"), { code: "EPERM" });
      };
      syncBuiltinESMExports();
    }
    try {
      writeAtomic(path, "first", { previous, also });
      writeAtomic(path, "second", { previous, also });
      writeAtomic(path, "third", { previous });
    } finally {
      fs.linkSync = linkSync;
      syncBuiltinESMExports();
    }
    const text = (file: string) => readFileSync(file, "utf8");
    assert.deepEqual([text(path), text(previous), text(also)], ["third", "second", "second"]);
    assert.deepEqual(readdirSync(folder).sort(), ["also", "file", "previous"]);
    assert.equal(statSync(also).ino === statSync(previous).ino, links, "one file under two names");
  }
});

test("a place for runs that may not be written is told before anything is made", (context) => {
  const place = join(root, "closed");
  mkdirSync(place, { mode: 0o500 });
  if (process.getuid?.() === 0) {
    // Root may write anywhere: a child with another user's number stands for the user.
    const script = `
      process.setgroups([]); process.setgid(65534); process.setuid(65534);
      const { preparePlace } = await import(${JSON.stringify(new URL("../../src/run/run-folder.js", import.meta.url).href)});
      try { preparePlace(${JSON.stringify(place)}, undefined); } catch (error) { process.stdout.write(error.message); }`;
    chmodSync(root, 0o755);
    const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
      encoding: "utf8",
    });
    if (/EACCES|Cannot find module/.test(stderr)) return context.skip("another user cannot read the project");
    assert.match(
      stdout,
      /^Cannot make a run's folder in \S+closed: permission denied\. Choose a place you may use/,
      stderr,
    );
    return;
  }
  assert.throws(() => preparePlace(place, undefined), { name: "UserError", message: /permission denied/ });
});

test("a place that cannot be written is named with a remedy", () => {
  assert.throws(() => writeAtomic(join(root, "none", "file"), ""), {
    name: "UserError",
    message: /none.*: there is no such folder, or no longer\. Put it back/,
  });
  assert.throws(() => writeAtomic("/dev/full/file", ""), {
    name: "UserError",
    message: /^Cannot write \/dev\/full/,
  });
  assert.throws(() => createRun({ root: "/dev/null/runs", config }), {
    name: "UserError",
    message: /\/dev\/null\/runs/,
  });
});
