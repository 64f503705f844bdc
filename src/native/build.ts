// Compiles the addon against the libtorch that was found: one C++ compiler, no build system to install.
// A build lies in build/<key>/, where the key covers sources, libtorch and flags: a change makes a new one.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { basename, dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { UserError } from "../errors.ts";
import { makeFolder } from "../files.ts";
import { isElsewhere, tryLock } from "../lock.ts";
import { isAlive } from "../processes.ts";
import type { Libtorch } from "./locate.ts";

/** The project's folder: dist/src/native/build.js lies three levels below it. */
const PROJECT = fileURLToPath(new URL("../../..", import.meta.url));
const SOURCES = join(PROJECT, "native");
const BUILDS = join(PROJECT, "build");

const WARNINGS = ["-Wall", "-Wextra"];
const OPTIMISATION = ["-O2", "-fPIC", "-fvisibility=hidden"];
const KERNEL_OPTIMISATION = [
  "-O3",
  "-ffp-contract=fast",
  "-fno-math-errno",
  "-fno-trapping-math",
  // GCC's predictive commoning keeps too many values in registers and spills the kernels' accumulators.
  "-fno-predictive-commoning",
  "-Wno-maybe-uninitialized",
];
const INSTRUCTION_SETS: Readonly<Record<string, readonly string[]>> = {
  avx512: ["-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mfma"],
  avx2: ["-mavx2", "-mfma"],
  portable: [],
};

/** Where the addon for `libtorch` lies, or would lie once it is built. */
export function addonPath(libtorch: Libtorch): string {
  const hash = createHash("sha256").update(
    JSON.stringify([libtorch, flags(libtorch), KERNEL_OPTIMISATION, INSTRUCTION_SETS, moreFlags()]),
  );
  for (const name of sourceFiles()) hash.update(name).update(readFileSync(join(SOURCES, name)));
  return join(BUILDS, hash.digest("hex").slice(0, 16), "darts.node");
}

/**
 * Builds the addon for `libtorch` unless it is built; returns its path. Of several processes that want it at once, one
 * compiles and the others wait. Throws a {@link UserError} without a compiler, or with the compiler's first errors.
 */
export async function buildAddon(libtorch: Libtorch, report: (line: string) => void): Promise<string> {
  const target = addonPath(libtorch);
  if (existsSync(target)) return target;
  makeBuilds();
  const unlock = await awaitTurn(target, report);
  try {
    if (!existsSync(target)) await compile(libtorch, target, report);
  } finally {
    unlock();
  }
  return target;
}

/** The package may lie where only its owner writes, as after an installation for all users. */
function makeBuilds(): void {
  try {
    makeFolder(BUILDS);
    accessSync(BUILDS, constants.W_OK);
  } catch (error) {
    throw new UserError(
      `The bridge to libtorch is compiled on the first use, into ${BUILDS}, where you may not write. ` +
        "Let who installed the package run `darts toy` once, or install it where you may write.",
      { cause: error },
    );
  }
}

/** Waits while another process compiles the same; returns what lets the next one go on. */
async function awaitTurn(target: string, report: (line: string) => void): Promise<() => void> {
  const lock = join(BUILDS, `${basename(dirname(target))}.lock`);
  const onStale = (holder: string) =>
    report(`Compiling the bridge was begun by ${holder}, which is gone: it is begun anew.`);
  for (let told = false; ; told = true) {
    const attempt = tryLock(lock, onStale);
    if (attempt.unlock) return attempt.unlock;
    const { holder } = attempt;
    // Whether a process of another host still lives cannot be asked: rather twice than never.
    if (holder === undefined || isElsewhere(holder)) return () => {};
    if (!told) report(`Process ${holder.pid} is compiling the bridge to libtorch: waiting for it …`);
    await pause(200);
  }
}

async function compile(libtorch: Libtorch, target: string, report: (line: string) => void): Promise<void> {
  const compiler = findCompiler();
  report(`Compiling the bridge to libtorch ${libtorch.version} (${libtorch.root}) with ${compiler} …`);
  removeAbandoned();
  const folder = mkdtempSync(join(BUILDS, `compiling-${process.pid}-`));
  try {
    const units = sourceFiles().filter((name) => name.endsWith(".cc") && isForThisProcessor(name));
    const objects = units.map((name) => join(folder, name.replaceAll("/", "-").replace(/\.cc$/, ".o")));
    const waiting = units.map(
      (name, i) => () =>
        run(compiler, [
          ...flags(libtorch),
          ...kernelFlags(name),
          ...moreFlags(),
          "-c",
          join(SOURCES, name),
          "-o",
          objects[i],
        ]),
    );
    // As many at a time as there are cores: each takes up to a gigabyte.
    const work = async () => {
      for (let next = waiting.shift(); next; next = waiting.shift()) await next();
    };
    await Promise.all(Array.from({ length: availableParallelism() }, work));
    const library = join(folder, "darts.node");
    await run(compiler, [
      "-shared",
      "-pthread",
      ...moreFlags(),
      "-o",
      library,
      ...objects,
      ...linkFlags(libtorch),
    ]);
    mkdirSync(dirname(target), { recursive: true });
    renameSync(library, target);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Removes what builds left that were killed; those of living processes are in use. */
function removeAbandoned(): void {
  for (const name of readdirSync(BUILDS)) {
    const pid = /^compiling-(\d+)-/.exec(name)?.[1];
    if (pid !== undefined && !isAlive(Number(pid)))
      rmSync(join(BUILDS, name), { recursive: true, force: true });
  }
}

/** Headers and translation units below native/, in a fixed order. */
function sourceFiles(): string[] {
  return readdirSync(SOURCES, { recursive: true, encoding: "utf8" })
    .filter((name) => /\.(cc|h)$/.test(name))
    .sort();
}

/** The instruction set that a build of the kernels is for, from its file's name. */
function instructionSet(name: string): string | undefined {
  return name.match(/\.(\w+)\.cc$/)?.[1];
}

function isForThisProcessor(name: string): boolean {
  const set = instructionSet(name);
  return process.arch === "x64" || set === undefined || set === "portable";
}

/** What the kernels' builds need beyond everyone's flags: see docs/log.md for what each one is worth. */
function kernelFlags(name: string): readonly string[] {
  const set = instructionSet(name);
  return set === undefined ? [] : [...KERNEL_OPTIMISATION, ...(INSTRUCTION_SETS[set] ?? [])];
}

function flags(libtorch: Libtorch): string[] {
  const [major, minor] = libtorch.version.split(".").map(Number);
  // From 2.11 on libtorch's headers use C++20.
  const standard = major > 2 || (major === 2 && minor >= 11) ? "c++20" : "c++17";
  // Where npm put the headers: in our own node_modules, or beside us in those of whoever installed us.
  const headers = join(createRequire(import.meta.url).resolve("node-api-headers"), "..", "include");
  return [
    `-std=${standard}`,
    ...OPTIMISATION,
    ...WARNINGS,
    "-DNAPI_VERSION=8",
    "-DNODE_GYP_MODULE_NAME=darts",
    `-D_GLIBCXX_USE_CXX11_ABI=${libtorch.abi}`,
    `-I${headers}`,
    // Headers that are not ours are not ours to warn about.
    ...libtorch.include.flatMap((folder) => (folder === "/usr/include" ? [] : ["-isystem", folder])),
  ];
}

/** What DARTS_CXXFLAGS adds, for compiling and linking: a build of its own, as `npm run test:sanitize` makes one. */
function moreFlags(): string[] {
  return (process.env["DARTS_CXXFLAGS"] ?? "").split(/\s+/).filter((flag) => flag !== "");
}

function linkFlags(libtorch: Libtorch): string[] {
  const cuda = existsSync(join(libtorch.lib, "libtorch_cuda.so")) ? ["-ltorch_cuda"] : [];
  // --no-as-needed: the CUDA library registers its kernels only when it is loaded.
  return [
    `-L${libtorch.lib}`,
    `-Wl,-rpath,${libtorch.lib}`,
    "-Wl,--no-as-needed",
    "-ltorch",
    "-ltorch_cpu",
    ...cuda,
    "-lc10",
  ];
}

function findCompiler(): string {
  const named = process.env.CXX;
  for (const candidate of named ? [named] : ["c++", "g++", "clang++"]) {
    if (spawnSync(candidate, ["--version"], { stdio: "ignore" }).status === 0) return candidate;
  }
  throw new UserError(
    `No C++ compiler was found (${named ? `CXX=${named}` : "tried c++, g++ and clang++"}).\n` +
      "Install one (Debian or Ubuntu: apt-get install g++), or name yours in CXX.",
  );
}

function run(command: string, args: string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child: ChildProcess = spawn(command, args, { stdio: ["ignore", "ignore", "pipe"] });
    let errors = "";
    child.stderr?.on("data", (chunk: Buffer) => {
      errors += chunk;
    });
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) return resolve();
      const first = errors
        .split("\n")
        .filter((line) => /error|undefined|cannot find/.test(line))
        .slice(0, 5);
      reject(
        new UserError(
          `${command} failed (exit code ${code}):\n${(first.length ? first : [errors]).join("\n")}`,
        ),
      );
    });
  });
}
