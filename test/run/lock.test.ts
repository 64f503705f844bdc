// The lock of a run's folder: one live process holds it, a stale one is taken over, and only a stale one.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { processStart } from "../../src/processes.ts";
import { LOCK_FILE, lockRun } from "../../src/run/lock.ts";
import { temporaryFolder } from "../data/fixtures.ts";

const LIVE = process.ppid;
const DEAD = 2 ** 22 + 1; // above the largest process id

/** A folder locked as `holder` says, and what lockRun reported of taking it over. */
function locked(context: TestContext, holder: object | string) {
  const folder = temporaryFolder(context);
  const path = join(folder, LOCK_FILE);
  writeFileSync(path, typeof holder === "string" ? holder : JSON.stringify(holder));
  return { folder, path };
}

test("a lock says who holds it and is gone when it is given back", (context) => {
  const folder = temporaryFolder(context);
  const unlock = lockRun(folder, assert.fail);
  const { host, pid } = JSON.parse(readFileSync(join(folder, LOCK_FILE), "utf8"));
  assert.deepEqual({ host, pid }, { host: hostname(), pid: process.pid });
  assert.throws(() => lockRun(folder, assert.fail), {
    name: "UserError",
    message: new RegExp(`is in use by process ${process.pid} of `),
  });
  unlock();
  assert.equal(existsSync(join(folder, LOCK_FILE)), false);
});

const STALE: readonly (readonly [what: string, holder: object | string])[] = [
  ["of a process that is gone", { host: hostname(), pid: DEAD, started: "boot 1" }],
  ["of another process that had the number before", { host: hostname(), pid: LIVE, started: "boot 1" }],
  ["half written", '{"host":"'],
  ["empty", ""],
];
for (const [what, holder] of STALE) {
  test(`a lock ${what} is taken over, and that is told`, (context) => {
    const { folder, path } = locked(context, holder);
    const told: string[] = [];
    const unlock = lockRun(folder, (line) => told.push(line));
    assert.equal(told.length, 1);
    assert.match(told[0]!, /was left locked by .*, which is gone/);
    assert.equal(JSON.parse(readFileSync(path, "utf8")).pid, process.pid);
    unlock();
  });
}

const HELD: readonly (readonly [what: string, holder: object, message: RegExp])[] = [
  [
    "of a live process",
    { host: hostname(), pid: LIVE, started: processStart(LIVE) },
    /Wait for it or stop it/,
  ],
  ["of a live process whose start is not known", { host: hostname(), pid: LIVE, started: null }, /stop it/],
  [
    "of another host, which cannot be asked",
    { host: `not-${hostname()}`, pid: DEAD, started: "boot 1" },
    /of not-.*if it does not, remove .*lock\.json/,
  ],
];
for (const [what, holder, message] of HELD) {
  test(`a lock ${what} is left alone`, (context) => {
    const { folder, path } = locked(context, holder);
    assert.throws(() => lockRun(folder, assert.fail), { name: "UserError", message });
    assert.deepEqual(JSON.parse(readFileSync(path, "utf8")), holder);
  });
}

test("of many processes that want a stale lock at once, one gets it", (context) => {
  const { folder } = locked(context, { host: hostname(), pid: DEAD, started: "boot 1" });
  const module = JSON.stringify(new URL("../../src/run/lock.js", import.meta.url).href);
  const worker = `
    const { lockRun } = await import(${module});
    try { lockRun(${JSON.stringify(folder)}, () => {}); process.stdout.write("got\\n"); setTimeout(() => {}, 1500); }
    catch (error) { if (error.name !== "UserError") throw error; }`;
  const script = `for i in 1 2 3 4 5 6; do "$NODE" --input-type=module -e "$WORKER" & done; wait`;
  const { stdout, stderr } = spawnSync("sh", ["-c", script], {
    encoding: "utf8",
    env: { ...process.env, NODE: process.execPath, WORKER: worker },
  });
  assert.deepEqual({ stdout, stderr }, { stdout: "got\n", stderr: "" });
});
