// Interrupting and resuming by the real command: signals, the printed command, what is refused, what is survived.
import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { loadCheckpointState } from "../../src/run/checkpoint.ts";
import { readEvents } from "../../src/run/events.ts";
import { loadSafetensors, saveSafetensors } from "../../src/run/safetensors.ts";
import { assertSameRun, BIN, type Ended, RUN, start, succeed, writeTinyProblem } from "../support/killing.ts";

const root = mkdtempSync(join(tmpdir(), "darts-interruption-"));
after(() => rmSync(root, { recursive: true }));

const settings = ["--config", join(root, "tiny.yaml"), "--checkpoint-seconds", "0"];
const newRun = ["run", ...settings, "--name", "it"];
const resume = ["run", "--resume", RUN];
const folderOf = (name: string) => join(root, name);
const last = (folder: string, work = "search") =>
  join(folder, RUN, "checkpoints", `${work}-last.safetensors`);
const previous = (folder: string) => last(folder).replace("-last", "-previous");
const events = (folder: string) => readEvents(join(folder, RUN, "events.jsonl"));

before(async () => {
  writeTinyProblem(root);
  mkdirSync(folderOf("reference"));
  mkdirSync(folderOf("stopped"));
  await succeed(folderOf("reference"), newRun);
  await stop("stopped", newRun, "SIGINT", 4);
});

/** Starts a command in a folder and sends it `signal` once its log has `lines` lines. */
async function stop(
  name: string,
  command: readonly string[],
  signal: NodeJS.Signals,
  lines: number,
): Promise<Ended> {
  const { child, ended } = start(folderOf(name), command);
  const log = join(folderOf(name), RUN, "events.jsonl");
  while (
    child.exitCode === null &&
    !(existsSync(log) && readFileSync(log, "utf8").split("\n").length > lines)
  )
    await pause(1);
  child.kill(signal);
  return ended;
}

/** A copy of the run that was interrupted in its first epoch. */
function copy(name: string): string {
  cpSync(folderOf("stopped"), folderOf(name), { recursive: true });
  return folderOf(name);
}

async function refused(folder: string, args: readonly string[], message: RegExp): Promise<void> {
  const { code, stdout, stderr } = await start(folder, args).ended;
  assert.match(stderr, message);
  assert.deepEqual({ code, stdout }, { code: 2, stdout: "" });
}

for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
] as const) {
  test(`${signal} finishes the step, saves, gives the lock back and exits with ${code}`, async () => {
    mkdirSync(folderOf(signal));
    const command = ["search", ...settings, "--name", "it", "--search-epochs", "5000"];
    const ended = await stop(signal, command, signal, 3);
    assert.deepEqual({ code: ended.code, stdout: ended.stdout }, { code, stdout: "" });
    assert.match(ended.stderr, new RegExp(`${signal}: finishing the step and saving`));
    assert.match(
      ended.stderr,
      /Interrupted\. Resume it with:\n {2}node \S*darts\.mjs search --resume runs\/it\n$/,
    );
    const state = loadCheckpointState(last(folderOf(signal))) as { events: number };
    assert.equal(state.events, events(folderOf(signal)).length, "nothing that was logged is lost");
    assert.equal(existsSync(join(folderOf(signal), RUN, "lock.json")), false);
  });
}

test("a terminal that is closed is a SIGHUP: the run saves and ends by that signal, not by an abort", {
  timeout: 120_000,
}, async (context) => {
  // A terminal of one's own needs more than Node has; script (util-linux) lends one and closes it when it is killed.
  const lends = spawnSync("script", ["--version"], { encoding: "utf8" }).stdout ?? "";
  if (!lends.includes("util-linux")) return context.skip("there is no script of util-linux");
  const folder = folderOf("hung-up");
  mkdirSync(folder);
  const darts = [process.execPath, BIN, "search", ...settings, "--name", "it", "--search-epochs", "5000"];
  const words = darts.map((word) => `'${word}'`).join(" ");
  // The terminal's loss is told to the shell, which passes it on; the second wait gives what became of darts.
  const command = `trap 'kill -HUP $it' HUP; ${words} & it=$!; wait $it; wait $it; echo $? > ended`;
  const terminal = spawn("script", ["-qec", command, "/dev/null"], {
    cwd: folder,
    stdio: ["pipe", "ignore", "ignore"],
  });
  const log = join(folder, RUN, "events.jsonl");
  while (!(existsSync(log) && readFileSync(log, "utf8").split("\n").length > 4)) await pause(10);
  terminal.kill("SIGKILL");
  const ended = join(folder, "ended");
  while (!(existsSync(ended) && readFileSync(ended, "utf8") !== "")) await pause(10);
  assert.equal(readFileSync(ended, "utf8"), "129\n");
  const state = loadCheckpointState(last(folder)) as { events: number };
  assert.equal(state.events, events(folder).length, "nothing that was logged is lost");
  assert.equal(existsSync(join(folder, RUN, "lock.json")), false);
});

test("the command that is printed, as it is printed, comes to the bytes of a run without a break", async () => {
  mkdirSync(folderOf("printed"));
  const { stderr } = await stop("printed", newRun, "SIGTERM", 15);
  const command = /with:\n {2}(.*)\n$/.exec(stderr)![1]!;
  execFileSync("sh", ["-c", command], { cwd: folderOf("printed"), stdio: "pipe" });
  assertSameRun(folderOf("printed"), folderOf("reference"));
});

test("a second signal leaves at once", async () => {
  mkdirSync(folderOf("twice"));
  const { child, ended } = start(folderOf("twice"), ["search", ...settings, "--name", "it"]);
  while (!existsSync(join(folderOf("twice"), RUN, "events.jsonl"))) await pause(1);
  child.kill("SIGINT");
  child.kill("SIGTERM");
  const { code, stderr } = await ended;
  // Of two that are pending at once either may arrive first; the exit code is the other's.
  const first = /(SIG\w+): finishing the step/.exec(stderr)?.[1] ?? "SIGINT";
  assert.equal(code, first === "SIGINT" ? 143 : 130);
  assert.doesNotMatch(stderr, /Resume it/);
  assert.equal(existsSync(join(folderOf("twice"), RUN, "lock.json")), false);
});

test("killed or interrupted while data are fetched, nothing is begun and the same command starts it", async (context) => {
  const server = createServer((request, response) => {
    server.emit("asked", request);
    response.writeHead(200).flushHeaders(); // and never a byte more
  });
  context.after(() => server.closeAllConnections());
  context.after(() => server.close());
  await once(server.listen(0, "127.0.0.1"), "listening");
  const folder = folderOf("fetching");
  mkdirSync(folder);
  const cache = join(folder, "cache");
  const registry = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const env = { DARTS_CACHE: cache, npm_config_registry: registry };
  const command = ["run", "--preset", "quick", "--data-name", "mnist", "--name", "it's"];
  const left = () => readdirSync(join(cache, "downloads", "mnist"));

  const first = start(folder, command, env);
  const [request] = await once(server, "asked");
  first.child.kill("SIGKILL");
  await first.ended;
  assert.equal(left().length, 1, "the killed one leaves its temporary folder");
  request.destroy(); // its npm lives on without it

  const second = start(folder, command, env);
  await once(server, "asked");
  second.child.kill("SIGINT");
  const { code, stderr } = await second.ended;
  assert.equal(code, 130, stderr);
  assert.match(
    stderr,
    /before anything was begun\. Start it with:\n {2}node \S+ run --preset quick --data-name mnist --name 'it'\\''s'\n$/,
  );
  assert.deepEqual(left(), []);
  assert.deepEqual(readdirSync(join(folder, "runs")), []);

  const third = start(folder, ["data", "get", "mnist"], env);
  await once(server, "asked");
  third.child.kill("SIGINT");
  const fetching = await third.ended;
  assert.deepEqual({ code: fetching.code, stdout: fetching.stdout }, { code: 130, stdout: "" });
  assert.match(fetching.stderr, /^SIGINT: stopping\. Once more leaves at once\.$/m);
  assert.match(fetching.stderr, /Start it with:\n {2}node \S+ data get mnist\n$/);
  assert.deepEqual(left(), []);
});

test("a run in use by a live process is refused, and so is a second run into its folder", async () => {
  mkdirSync(folderOf("busy"));
  const command = ["search", ...settings, "--name", "it", "--search-epochs", "5000"];
  const { child, ended } = start(folderOf("busy"), command);
  while (!existsSync(join(folderOf("busy"), RUN, "events.jsonl"))) await pause(1);
  const inUse = new RegExp(`runs/it is in use by process ${child.pid} of `);
  await refused(folderOf("busy"), ["search", "--resume", RUN], inUse);
  await refused(folderOf("busy"), command, /already there\. .*go on with that run by --resume runs\/it/);
  child.kill("SIGKILL");
  await ended;
  const again = await stop(
    "busy",
    ["search", "--resume", RUN],
    "SIGINT",
    events(folderOf("busy")).length + 2,
  );
  assert.match(again.stderr, new RegExp(`was left locked by process ${child.pid} of .*, which is gone`));
});

const MISTAKES: readonly (readonly [what: string, args: readonly string[], message: RegExp])[] = [
  [
    "settings that make another run of it",
    [...resume, "--seed", "9", "--storage", "bf16", "--search-epochs", "5"],
    /runs\/it cannot go on with other settings: seed is 9, was 2; storage is "bf16", was "fp32"; search\.epochs is 5, was 3\. Leave them out/,
  ],
  [
    "fewer random cells",
    [...resume, "--train-random-cells", "0"],
    /randomCells is 0, was 1 \(it may only grow\)/,
  ],
  [
    "another command",
    ["search", "--resume", RUN],
    /begun by darts run; resume it so: darts run --resume runs\/it/,
  ],
  ["a name", [...resume, "--name", "other"], /leave out --name and --root/],
  ["a cell", ["train", "random", "--resume", RUN], /leave out the cell/],
  ["no cell at all", ["train"], /Which cell\?/],
  ["a folder that is not there", ["run", "--resume", "runs/none"], /There is no run folder runs\/none/],
];
for (const [what, args, message] of MISTAKES)
  test(`--resume refuses ${what}`, () => refused(folderOf("stopped"), args, message));

test("what is damaged is told, and the checkpoint before it serves to the same bytes", async () => {
  const folder = copy("damaged");
  truncateSync(last(folder), 3000);
  appendFileSync(join(folder, RUN, "events.jsonl"), '{"time":"2026-01-01T00:00:00.000Z","type":"search-st');
  const { stderr } = await succeed(folder, resume);
  assert.match(stderr, /search-last\.safetensors.*\n.*the checkpoint before it serves/);
  rmSync(`${last(folder)}.damaged`);
  assertSameRun(folder, folderOf("reference"));
});

test("a flipped bit is found; without any whole checkpoint the phase begins anew, to the same bytes", async () => {
  const folder = copy("flipped");
  for (const path of [last(folder), previous(folder)]) {
    const bytes = readFileSync(path);
    bytes[bytes.length - 9]! ^= 1;
    writeFileSync(path, bytes);
  }
  const { stderr } = await succeed(folder, resume);
  assert.match(stderr, /search-last\.safetensors is damaged: its content does not fit its checksum/);
  assert.match(stderr, /search-previous\.safetensors is damaged/);
  for (const path of [last(folder), previous(folder)]) rmSync(`${path}.damaged`);
  assertSameRun(folder, folderOf("reference"));
});

test("a checkpoint of other settings, of a newer version or of other data is refused and left as it is", async () => {
  const folder = copy("foreign");
  const { tensors, metadata } = loadSafetensors(last(folder));
  saveSafetensors(last(folder), tensors, { ...metadata, format: "darts-checkpoint-99" });
  await refused(folder, resume, /its format is darts-checkpoint-99.*A newer version of darts wrote it/);
  cpSync(last(folderOf("stopped")), last(folder));
  const config = join(folder, RUN, "config.yaml");
  writeFileSync(config, readFileSync(config, "utf8").replace("momentum: 0.9", "momentum: 0.8"));
  await refused(
    folder,
    resume,
    /search-last.* is of other settings: search\.momentum is 0\.8, was 0\.9\. Put back/,
  );
  cpSync(join(folderOf("stopped"), RUN, "config.yaml"), config);
  cpSync(join(root, "images"), join(folder, "images"), { recursive: true });
  cpSync(join(folder, "images", "band-0", "0.png"), join(folder, "images", "band-1", "1.png"));
  await refused(
    folder,
    [...resume, "--data-path", "images"],
    /was begun on other images: their checksum is /,
  );
  assert.ok(readFileSync(last(folder)).equals(readFileSync(last(folderOf("stopped")))));
});

test("data that moved and another pace of checkpoints change nothing", async () => {
  const folder = copy("moved");
  cpSync(join(root, "images"), join(folder, "images"), { recursive: true });
  await succeed(folder, [...resume, "--data-path", "images", "--checkpoint-seconds", "9"]);
  const config = join(folder, RUN, "config.yaml");
  assert.match(
    readFileSync(config, "utf8"),
    /checkpointSeconds: 9\n.*\n? *data:\n *name: folder\n *path: images/,
  );
  cpSync(join(folderOf("reference"), RUN, "config.yaml"), config);
  assertSameRun(folder, folderOf("reference"));
});

test("a finished run has nothing left to do, and more random cells are trained after it as from the start", async () => {
  const folder = folderOf("extended");
  cpSync(folderOf("reference"), folder, { recursive: true });
  const again = await succeed(folder, [...resume, "--json"]);
  assert.match(again.stderr, /has finished: there is nothing left to do/);
  assert.deepEqual(
    JSON.parse(again.stdout),
    JSON.parse(readFileSync(join(folder, RUN, "report.json"), "utf8")),
  );
  assertSameRun(folder, folderOf("reference"));

  mkdirSync(folderOf("both"));
  const both = await succeed(folderOf("both"), [...newRun, "--train-random-cells", "2", "--json"]);
  const extended = await succeed(folder, [...resume, "--train-random-cells", "2", "--json"]);
  const cells = (ended: Ended) =>
    (JSON.parse(ended.stdout).trained as { cell: string; last: object }[]).map(({ cell, last }) => [
      cell,
      last,
    ]);
  assert.deepEqual(cells(extended), cells(both));
  for (const name of ["random-1.safetensors", "random-2.safetensors"]) {
    const [a, b] = [folder, folderOf("both")].map((at) => readFileSync(join(at, RUN, name)));
    assert.ok(a!.equals(b!), name);
  }
});
