// First uses at the same moment: one process compiles the bridge, the others wait for it. In a copy of the project whose
// compiler is a script that only writes down what it was asked for.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const PROJECT = fileURLToPath(new URL("../../../", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "darts-build-"));
after(() => rmSync(folder, { recursive: true }));
const copy = join(folder, "project");
const builds = join(copy, "build");
const compiler = join(folder, "compiler");
const asked = join(folder, "asked");
const DEAD = 2 ** 22 + 1; // above the largest process id

mkdirSync(copy);
cpSync(join(PROJECT, "dist", "src"), join(copy, "dist", "src"), { recursive: true });
cpSync(join(PROJECT, "bin"), join(copy, "bin"), { recursive: true });
cpSync(join(PROJECT, "native"), join(copy, "native"), { recursive: true });
cpSync(join(PROJECT, "package.json"), join(copy, "package.json"));
symlinkSync(join(PROJECT, "node_modules"), join(copy, "node_modules"));
/** Units and the library; a processor of another kind compiles fewer. */
const units = readdirSync(join(copy, "native"), { recursive: true, encoding: "utf8" }).filter(
  (name) => name.endsWith(".cc") && (process.arch === "x64" || !/\.avx\w+\.cc$/.test(name)),
).length;

beforeEach(() => {
  rmSync(builds, { recursive: true, force: true });
  writeFileSync(asked, "");
});

/** The compiler sleeps for `seconds`, then does as told, or `fails`. */
function writeCompiler(seconds: number, fails = false): void {
  writeFileSync(
    compiler,
    `#!/bin/sh
[ "$1" = --version ] && exit 0
echo "$@" >> '${asked}'
sleep ${seconds}
${fails ? "echo 'cell.h:1: error: no such thing' >&2; exit 1" : ""}
while [ $# -gt 1 ]; do [ "$1" = -o ] && : > "$2"; shift; done
`,
  );
  chmodSync(compiler, 0o755);
}

function build() {
  const child = spawn(process.execPath, [join(copy, "dist", "src", "native", "build-now.js")], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, CXX: compiler },
    detached: true, // so that its compilers can be ended with it
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (chunk) => {
    stdout += chunk;
  });
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const ended = new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) =>
    child.on("close", (code) => resolve({ code, stdout, stderr })),
  );
  return { child, ended, said: () => stderr };
}

const compiled = () => readFileSync(asked, "utf8").split("\n").length - 1;
const lockFile = () => readdirSync(builds).find((name) => name.endsWith(".lock"));

test("of several processes one compiles, and the others wait for it and say so", async () => {
  writeCompiler(0.3);
  const results = await Promise.all(Array.from({ length: 4 }, () => build().ended));
  for (const { code, stdout, stderr } of results) assert.deepEqual([code, stdout], [0, ""], stderr);
  assert.equal(compiled(), units + 1, "each unit once, and the library");
  const said = results.map(({ stderr }) => stderr).join("");
  assert.equal(said.match(/^Compiling the bridge to libtorch/gm)?.length, 1, said);
  const waited = said.match(/^Process \d+ is compiling the bridge to libtorch: waiting for it …$/gm);
  assert.ok(waited && waited.length <= 3, said);
  const left = readdirSync(builds);
  assert.equal(left.length, 1, left.join());
  assert.ok(existsSync(join(builds, left[0]!, "darts.node")));
});

test("when the one that compiles is killed, the next one takes over and says so", async () => {
  writeCompiler(60);
  const first = build();
  while (compiled() === 0) await pause(10);
  const second = build();
  while (!second.said().includes("waiting for it")) await pause(10);
  writeCompiler(0);
  process.kill(-first.child.pid!, "SIGKILL");
  await first.ended;
  const { code, stderr } = await second.ended;
  assert.equal(code, 0, stderr);
  assert.match(
    stderr,
    new RegExp(
      `^Process ${first.child.pid} is compiling .*\nCompiling the bridge was begun by process ${first.child.pid} of .*, which is gone: it is begun anew\\.$`,
      "m",
    ),
  );
  assert.equal(readdirSync(builds).length, 1, readdirSync(builds).join());
});

test("a lock that a dead process left is recognised, and one of another host holds nobody up", async () => {
  writeCompiler(0.3);
  const probe = build();
  while (compiled() === 0) await pause(10);
  const name = lockFile()!;
  await probe.ended;
  for (const holder of [
    { host: hostname(), pid: DEAD, started: "boot 1" },
    { host: `not-${hostname()}`, pid: 1, started: "boot 1" },
  ]) {
    rmSync(builds, { recursive: true });
    mkdirSync(builds);
    writeFileSync(join(builds, name), JSON.stringify(holder));
    const { code, stderr } = await build().ended;
    assert.equal(code, 0, stderr);
    assert.match(stderr, /^Compiling the bridge to libtorch/m);
  }
});

test("where the bridge cannot be written, it is told who can have it compiled", async () => {
  writeFileSync(builds, "a file stands for a folder that is another's");
  const { code, stdout } = await build().ended;
  assert.match(
    stdout,
    /^The bridge to libtorch is compiled .*where you may not write\. Let who installed the package run/,
  );
  assert.equal(code, 2);
});

test("Ctrl-C while the bridge is compiled is an interruption, with the command that starts it again", async () => {
  writeCompiler(30);
  const args = ["search", "--data-name", "folder", "--data-path", "nowhere", "--name", "it"];
  const child = spawn(process.execPath, [join(copy, "bin", "darts.mjs"), ...args], {
    cwd: folder,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, CXX: compiler },
    detached: true, // a terminal's Ctrl-C goes to the whole group
  });
  let stderr = "";
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  while (compiled() === 0) await pause(10);
  process.kill(-child.pid!, "SIGINT");
  const code = await new Promise((resolve) => child.on("close", resolve));
  assert.match(
    stderr,
    /Interrupted before anything was begun\. Start it with:\n {2}node \S+ search --data-name folder/,
  );
  assert.equal(code, 130);
});

test("where compiling fails, each of them says why", async () => {
  writeCompiler(0.1, true);
  for (const { code, stdout } of await Promise.all([build().ended, build().ended])) {
    assert.match(stdout, /compiler failed \(exit code 1\):\ncell\.h:1: error: no such thing/);
    assert.equal(code, 2);
  }
  assert.deepEqual(readdirSync(builds), []);
});
