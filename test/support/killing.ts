// Runs the real command, kills it at moments drawn by a seed, and resumes it until it has finished.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, watch, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Generator } from "../../src/random/generator.ts";
import { readEvents, withoutMeasured } from "../../src/run/events.ts";
import { writeToyImages } from "./toy-images.ts";

/** The command's program. */
export const BIN = fileURLToPath(new URL("../../../bin/darts.mjs", import.meta.url));

/** Where the run of every folder lies, as the command is told. */
export const RUN = join("runs", "it");

/** How a process ended. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command at work. */
export interface Started {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
}

/** Starts `darts` in `cwd`. */
export function start(cwd: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Started {
  const child = spawn(process.execPath, [BIN, ...args], {
    cwd,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, DARTS_DEBUG: "", ...env },
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (chunk) => {
    stdout += chunk;
  });
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const ended = new Promise<Ended>((resolve) =>
    child.on("close", (code, signal) => resolve({ code, signal, stdout, stderr })),
  );
  return { child, ended };
}

/** Starts `darts`, waits for its end and demands that it went well. */
export async function succeed(cwd: string, args: readonly string[]): Promise<Ended> {
  const ended = await start(cwd, args).ended;
  assert.equal(ended.code, 0, ended.stderr);
  return ended;
}

/** When a process is killed: after so many changes of the log or of the checkpoints' folder, and a moment more. */
export interface Moment {
  readonly where: "log" | "checkpoints";
  readonly changes: number;
  readonly milliseconds: number;
}

/** A moment drawn by `generator`: half of them just after a checkpoint's file was begun. */
export function drawMoment(generator: Generator): Moment {
  const where = generator.uniform() < 0.5 ? "log" : "checkpoints";
  const changes = generator.int(1, where === "log" ? 5 : 10);
  return { where, changes, milliseconds: where === "log" ? generator.int(0, 12) : 0 };
}

/** What killing came to. */
export interface Killed {
  /** Processes that died of it. */
  kills: number;
  /** How many of them left a file half written. */
  halfWritten: number;
}

/**
 * Starts `command` (as for a new run at {@link RUN}), kills it `kills` times and lets it finish then. What it had
 * begun is resumed; had it not begun, the same command starts it again.
 */
export async function killOften(
  folder: string,
  command: readonly string[],
  { kills, generator }: { kills: number; generator: Generator },
): Promise<Killed> {
  const killed: Killed = { kills: 0, halfWritten: 0 };
  while (killed.kills < kills) {
    const died = await killOnce(folder, nextCommand(folder, command), drawMoment(generator));
    if (!died) break; // it was done before
    killed.kills++;
    const left = existsSync(join(folder, RUN)) ? readdirSync(join(folder, RUN), { recursive: true }) : [];
    if (left.some((name) => String(name).endsWith(".tmp"))) killed.halfWritten++;
  }
  await succeed(folder, nextCommand(folder, command));
  return killed;
}

function nextCommand(folder: string, command: readonly string[]): readonly string[] {
  return existsSync(join(folder, RUN, "config.yaml"))
    ? [command[0]!, "--resume", RUN]
    : [...command, "--name", "it"];
}

async function killOnce(folder: string, command: readonly string[], moment: Moment): Promise<boolean> {
  const place = moment.where === "log" ? join(folder, RUN) : join(folder, RUN, "checkpoints");
  mkdirSync(place, { recursive: true }); // so that it can be watched before the run begins
  const { child, ended } = start(folder, command);
  let changes = 0;
  const watcher = watch(place, (_, name) => {
    const counts = moment.where === "log" ? name === "events.jsonl" : name?.endsWith(".tmp");
    if (!counts || ++changes !== moment.changes) return;
    if (moment.milliseconds === 0) child.kill("SIGKILL");
    else setTimeout(() => child.kill("SIGKILL"), moment.milliseconds);
  });
  const { code, signal, stderr } = await ended;
  watcher.close();
  assert.ok(signal === "SIGKILL" || code === 0, stderr);
  return signal === "SIGKILL";
}

/** Both runs came to the same bytes, apart from what measures the machine and the moment. */
export function assertSameRun(folder: string, reference: string): void {
  const [got, expected] = [folder, reference].map((at) => contents(join(at, RUN)));
  assert.deepEqual(Object.keys(got!), Object.keys(expected!));
  for (const [name, content] of Object.entries(expected!)) {
    if (!Buffer.isBuffer(content)) assert.deepEqual(got![name], content, name);
    else assert.ok(content.equals(got![name] as Buffer), `${name} has the same bytes`);
  }
}

/** Every file of a run but its record of starts and the checkpoints before the last, whose moment is not fixed. */
function contents(run: string): Record<string, unknown> {
  const names = readdirSync(run, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(run.length + 1))
    .filter((name) => name !== "run.json" && !name.endsWith("-previous.safetensors"));
  return Object.fromEntries(names.sort().map((name) => [name, content(join(run, name))]));
}

function content(path: string): unknown {
  if (path.endsWith("events.jsonl")) return withoutMeasured(readEvents(path));
  const bytes = readFileSync(path);
  return path.endsWith("report.json") ? withoutMeasured(JSON.parse(bytes.toString())) : bytes;
}

/** A folder of 48 small images, and settings for them that search and train in a second. */
export function writeTinyProblem(folder: string): void {
  writeToyImages(join(folder, "images"));
  writeFileSync(
    join(folder, "tiny.yaml"),
    `threads: 1
data: { name: folder, path: ${join(folder, "images")}, cropPadding: 1 }
space: { nodes: 2, stemMultiplier: 1, primitives: [none, skip_connect, sep_conv_3x3, max_pool_3x3] }
search: { channels: 2, cells: 3, epochs: 3, batchSize: 4, archLearningRate: 0.01 }
train: { channels: 2, cells: 3, epochs: 2, batchSize: 8, cutout: 2, dropPath: 0.2 }
`,
  );
}
