// The command line as a user meets it: help, mistakes, exit codes, what goes to stdout and what to stderr.
import assert from "node:assert/strict";
import { type StdioOptions, spawn, spawnSync } from "node:child_process";
import { closeSync, existsSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { COMMANDS } from "../../src/cli/main.ts";
import { configFlags } from "../../src/config/flags.ts";
import { commandLine, type Result } from "./command-line.ts";

const { folder, darts, remove } = commandLine();
after(remove);

/** A mistake: exit code 2, nothing on stdout, one sentence and no stack trace on stderr. */
function assertMistake({ code, stdout, stderr }: Result, message: RegExp): void {
  assert.match(stderr, message);
  assert.match(stderr, /^darts: /);
  assert.doesNotMatch(stderr, /^\s+at /m);
  assert.deepEqual({ code, stdout }, { code: 2, stdout: "" });
}

test("darts alone and darts --help list every command", () => {
  for (const args of [[], ["--help"], ["help"]]) {
    const { code, stdout, stderr } = darts(args);
    assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
    for (const { name } of COMMANDS) assert.match(stdout, new RegExp(`^  ${name}\\b`, "m"));
  }
});

for (const command of COMMANDS) {
  test(`darts ${command.name} --help names each of its options`, () => {
    const { code, stdout, stderr } = darts([command.name, "--help"]);
    assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
    assert.ok(stdout.startsWith(`Usage: darts ${command.name}`), stdout);
    const own = (command.options ?? []).map(({ usage }) => usage);
    const flags = command.configKeys ? configFlags(command.configKeys).map(({ usage }) => usage) : [];
    for (const usage of [...own, ...flags, "--json"]) assert.ok(stdout.includes(`  ${usage}`), usage);
    assert.equal(darts(["help", command.name]).stdout, stdout);
  });
}

test("darts --version prints the version of the package", () => {
  assert.match(darts(["--version"]).stdout, /^\d+\.\d+\.\d+\n$/);
});

test("an unknown command names the nearest", () => {
  assertMistake(darts(["serch"]), /Unknown command "serch"\. Did you mean search\?/);
  assertMistake(darts(["help", "serch"]), /Did you mean search\?/);
});

test("an unknown flag names the nearest", () => {
  assertMistake(
    darts(["search", "--search-epoch", "3"]),
    /unknown option '--search-epoch'. Did you mean --search-epochs\?/,
  );
  assertMistake(darts(["search", "--epochs=3"]), /Did you mean --search-epochs or --train-epochs\?/);
  assertMistake(darts(["show", "DARTS_V2", "--jsn"]), /Did you mean --json\?\nSee darts show --help/);
  assertMistake(darts(["--versoin"]), /Did you mean --version\?/);
});

test("a missing or superfluous argument and a flag without its value are told", () => {
  assertMistake(darts(["show"]), /missing required argument 'genotype'/);
  assertMistake(darts(["doctor", "now"]), /too many arguments for 'doctor'.* Leave out "now"\.$/m);
  assertMistake(darts(["search", "--seed"]), /'--seed <integer>' argument missing/);
  assertMistake(
    darts(["search", "--seed", "--preset", "quick"]),
    /--seed has no value: the option --preset follows it\. Write a value after --seed\./,
  );
});

test("an option that is given twice is refused, unless it is a list", () => {
  assertMistake(
    darts(["search", "--seed", "1", "--seed=2"]),
    /^darts: --seed is given twice: 1 and 2\. Leave one of them out\.$/m,
  );
  assertMistake(darts(["search", "--name", "a", "--name", "a"]), /--name is given twice: a and a/);
  assertMistake(darts(["toy", "--xi", "1", "--xi", "2"]), /--xi is given twice: 1 and 2/);
  for (const args of [
    ["--set", "seed=1", "--set", "seed=x"],
    ["--space-primitives", "none", "--space-primitives", "x"],
    ["--plugin", "a.ts", "--plugin", "b.ts"],
  ])
    assert.doesNotMatch(darts(["search", ...args]).stderr, /given twice/);
});

const CONFIG_MISTAKES: readonly (readonly [args: readonly string[], message: RegExp])[] = [
  [["--preset", "quik"], /Unknown preset "quik".* Did you mean quick\?/],
  [["--set", "search.epoch=3"], /unknown key search\.epoch\. Did you mean search\.epochs\?/],
  [["--set", "search.epochs=three"], /expected a whole number, at least 1, got the text "three"/],
  [["--search-epochs", "three"], /^darts: --search-epochs three: search\.epochs: expected a whole number/],
  [["--train-auxiliary", "maybe"], /expected true or false, got the text "maybe"/],
  [["--search-order", "third"], /expected one of: first, second, joint, alternating/],
  [
    ["--config", "wrong.yaml"],
    /^darts: wrong\.yaml:2:3: unknown key search\.batchsize\. Did you mean search\.batchSize\?/,
  ],
  [["--config", "none.yaml"], /none\.yaml: there is no such file/],
];

for (const [args, message] of CONFIG_MISTAKES) {
  test(`darts run ${args.join(" ")} is refused with a sentence, before anything is computed`, () => {
    writeFileSync(join(folder, "wrong.yaml"), "search:\n  batchsize: 3\n");
    assertMistake(darts(["run", ...args]), message);
  });
}

test("options of commands are checked too", () => {
  assertMistake(darts(["toy", "--xi", "x"]), /--xi: expected a number, got "x"/);
  assertMistake(darts(["toy", "--steps", "0"]), /--steps: expected a whole number, at least 1, got "0"/);
  assertMistake(
    darts(["test", "runs/x", "--checkpoint", "first"]),
    /--checkpoint: expected best or last, got "first"/,
  );
  assertMistake(darts(["derive", "runs/none"]), /There is no run folder runs\/none/);
  assertMistake(darts(["train", "runs/none", "--set", "seed=x"]), /seed: expected a whole number/);
});

test("DARTS_DEBUG=1 adds the stack trace", () => {
  const { code, stderr } = darts(["presets", "quik"], { env: { DARTS_DEBUG: "1" } });
  assert.equal(code, 2);
  assert.match(stderr, /^\s+at /m);
});

test("a reader that leaves early is no error", async () => {
  const bin = fileURLToPath(new URL("../../../bin/darts.mjs", import.meta.url));
  const child = spawn(process.execPath, [bin, "presets", "paper"], { stdio: ["ignore", "pipe", "pipe"] });
  child.stdout.destroy();
  let stderr = "";
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const code = await new Promise((resolve) => child.on("close", resolve));
  assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
});

test("a result that cannot be written is told, messages that cannot are let be", (context) => {
  if (!existsSync("/dev/full")) return context.skip("there is no /dev/full");
  const full = openSync("/dev/full", "w");
  context.after(() => closeSync(full));
  const bin = fileURLToPath(new URL("../../../bin/darts.mjs", import.meta.url));
  const darts = (stdio: StdioOptions, ...args: string[]) =>
    spawnSync(process.execPath, [bin, ...args], { cwd: folder, stdio, encoding: "utf8" });
  const told = darts(["ignore", full, "pipe"], "show", "DARTS_V2", "--json");
  assert.equal(
    told.stderr,
    "darts: Cannot write the result: no space is left on the disk. Free some and try again.\n",
  );
  assert.equal(told.status, 2);
  const silent = darts(["ignore", "pipe", full], "toy", "--steps", "1", "--json");
  assert.equal(silent.status, 0);
  assert.ok(JSON.parse(silent.stdout));
});
