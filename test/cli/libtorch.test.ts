// The commands that prove libtorch at work, and what is said where libtorch, its bridge or a compiler is missing.
import assert from "node:assert/strict";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { addonPath, buildAddon } from "../../src/native/build.ts";
import { locateLibtorch } from "../../src/native/locate.ts";
import { assertClose } from "../support/assert-close.ts";
import { commandLine } from "./command-line.ts";

const { folder, darts, remove } = commandLine();
after(remove);

/** The published iterates of (a, w), from (2, −2), for each ξ: methods of the paper's figure 2, to the digits given. */
const ITERATES: readonly (readonly [xi: number, points: readonly number[]])[] = [
  [0, [2.4, -1.12, 2.712, -0.3536, 2.94736, 0.306592]],
  [0.1, [2.28, -1.144, 2.48032, -0.419136, 2.614638, 0.187619]],
  [0.5, [1.8, -1.24, 1.64, -0.664, 1.512, -0.2288]],
  [1, [1.2, -1.36, 0.784, -0.9312, 0.57728, -0.629504]],
];

for (const [xi, points] of ITERATES) {
  test(`toy follows the bilevel problem with xi = ${xi}`, () => {
    const { code, stdout } = darts(["toy", "--xi", String(xi), "--steps", "3", "--json"]);
    assert.equal(code, 0);
    const { trajectory } = JSON.parse(stdout) as { trajectory: number[][] };
    assertClose(trajectory.flat(), [2, -2, ...points], 5e-7, "trajectory");
  });
}

test("toy without --json is a table of the points and their losses", () => {
  const { stdout } = darts(["toy", "--xi", "0.5"]);
  assert.match(stdout, /point +a +w +L_valid +L_train/);
  assert.match(stdout, /^ +200 +1\.000000 +1\.000000 +0\.000000 +0\.000000$/m);
});

test("doctor says which libtorch computes here, in text and for machines", () => {
  const { code, stdout, stderr } = darts(["doctor", "--json"]);
  assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
  const { ok, libtorch, devices, threads, problems } = JSON.parse(stdout) as Record<string, unknown>;
  assert.deepEqual({ ok, problems }, { ok: true, problems: [] });
  const { version, path, abi, operators } = libtorch as Record<string, unknown>;
  assert.match(version as string, /^\d+\.\d+\.\d+/);
  assert.ok(path && [0, 1].includes(abi as number) && (operators as number) > 1000);
  assert.ok((devices as string[]).includes("cpu") && (threads as number) >= 1);
  assert.match(darts(["doctor"]).stdout, /libtorch +\d.*\n.*Everything works\./s);
});

test("check proves gradients and published numbers on this machine", () => {
  const { code, stdout, stderr } = darts(["check", "--json"]);
  assert.equal(code, 0, stderr);
  const { passed, failed, checks } = JSON.parse(stdout) as {
    passed: number;
    failed: number;
    checks: Record<string, unknown>[];
  };
  assert.deepEqual({ passed, failed }, { passed: checks.length, failed: 0 });
  assert.ok(passed > 20);
  for (const check of checks)
    assert.deepEqual(Object.keys(check), ["name", "got", "expected", "tolerance", "ok"]);
});

for (const command of [["toy"], ["run", "--data-name", "folder"], ["check"]]) {
  test(`without libtorch ${command[0]} lists the ways to provide it and exits with 2`, () => {
    const { code, stdout, stderr } = darts(command, { env: { LIBTORCH: "/nowhere", DARTS_LIBTORCH: "" } });
    assert.match(stderr, /^darts: LIBTORCH names \/nowhere, but there is no include\/ATen/);
    assert.match(
      stderr,
      /apt-get install libtorch-dev.*LIBTORCH=\/path\/to\/libtorch.*DARTS_PYTHON=python3/s,
    );
    assert.doesNotMatch(stderr, /^\s+at /m);
    assert.deepEqual({ code, stdout }, { code: 2, stdout: "" });
  });
}

test("without libtorch doctor says what is wrong instead of failing, and exits with 2", () => {
  const { code, stdout } = darts(["doctor", "--json"], { env: { LIBTORCH: "/nowhere", DARTS_LIBTORCH: "" } });
  const { ok, libtorch, problems } = JSON.parse(stdout) as {
    ok: boolean;
    libtorch: null;
    problems: string[];
  };
  assert.deepEqual([code, ok, libtorch], [2, false, null]);
  assert.match(problems.join("\n"), /LIBTORCH names \/nowhere/);
});

test("what needs no tensors works without libtorch", () => {
  const { code } = darts(["show", "DARTS_V2", "--json"], { env: { LIBTORCH: "/nowhere" } });
  assert.equal(code, 0);
});

test("a libtorch whose bridge is not built has it built on the first use, or hears what that needs", () => {
  const { include, lib } = locateLibtorch();
  // The same library under another name: its bridge would lie elsewhere.
  const other = join(folder, "libtorch");
  mkdirSync(other);
  symlinkSync(include[0]!, join(other, "include"));
  symlinkSync(lib, join(other, "lib"));
  const { code, stderr } = darts(["toy"], { env: { DARTS_LIBTORCH: other, CXX: "/nowhere/c++" } });
  assert.match(stderr, /^darts: No C\+\+ compiler was found \(CXX=\/nowhere\/c\+\+\)/);
  assert.equal(code, 2);
});

test("without a compiler the bridge is not built, and the message says which one was tried and what to install", async () => {
  await withVariable("CXX", "/nowhere/c++", async () => {
    await assert.rejects(
      buildAddon(elsewhere(), () => {}),
      {
        name: "UserError",
        message:
          /No C\+\+ compiler was found \(CXX=\/nowhere\/c\+\+\)\.\nInstall one .*apt-get install g\+\+/,
      },
    );
  });
});

test("a compiler that fails is named with its first errors", async () => {
  const compiler = join(folder, "broken-compiler");
  const script = "#!/bin/sh\n[ \"$1\" = --version ] && exit 0\necho 'bridge.cc:1: error: boom' >&2\nexit 3\n";
  writeFileSync(compiler, script, { mode: 0o755 });
  await withVariable("CXX", compiler, async () => {
    await assert.rejects(
      buildAddon(elsewhere(), () => {}),
      {
        name: "UserError",
        message: /broken-compiler failed \(exit code 3\):\nbridge\.cc:1: error: boom/,
      },
    );
  });
});

test("flags in DARTS_CXXFLAGS make a build of their own, and the compiler hears them", async () => {
  const plain = addonPath(elsewhere());
  const compiler = join(folder, "listening-compiler");
  const script = '#!/bin/sh\n[ "$1" = --version ] && exit 0\necho "error: heard $*" >&2\nexit 3\n';
  writeFileSync(compiler, script, { mode: 0o755 });
  await withVariable("DARTS_CXXFLAGS", " -DFIRST  -g1 ", async () => {
    assert.notEqual(addonPath(elsewhere()), plain);
    await withVariable("CXX", compiler, async () => {
      await assert.rejects(
        buildAddon(elsewhere(), () => {}),
        /error: heard .* -DFIRST -g1 -c /,
      );
    });
  });
  assert.equal(addonPath(elsewhere()), plain);
});

/** The libtorch at hand under a root of its own, so that no bridge is built for it. */
function elsewhere() {
  return { ...locateLibtorch(), root: join(folder, "elsewhere") };
}

async function withVariable(name: string, value: string, body: () => Promise<void>): Promise<void> {
  const before = process.env[name];
  process.env[name] = value;
  try {
    await body();
  } finally {
    if (before === undefined) delete process.env[name];
    else process.env[name] = before;
  }
}
