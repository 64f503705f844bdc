// Where libtorch is. In order: DARTS_LIBTORCH, LIBTORCH, python's torch when DARTS_PYTHON asks for it, the system.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { UserError } from "../errors.ts";

/** A libtorch that can be compiled against. */
export interface Libtorch {
  /** What led to it: an environment variable's name, or "system". */
  readonly source: string;
  /** Folder that holds it (for the system's: its prefix). */
  readonly root: string;
  readonly include: readonly string[];
  /** Folder of libtorch.so. */
  readonly lib: string;
  /** Release, as 1.13.1. */
  readonly version: string;
  /** The C++ library's string ABI it was built with: 1 is the present one, 0 that of before 2015. */
  readonly abi: 0 | 1;
}

/** The ways to provide libtorch, for messages. */
export const WAYS_TO_PROVIDE_LIBTORCH = `Provide libtorch in one of these ways:
  - Debian or Ubuntu:  apt-get install libtorch-dev libopenblas0-pthread
  - a libtorch folder (with include/ and lib/):  LIBTORCH=/path/to/libtorch
  - python's torch:  pip install torch, then DARTS_PYTHON=python3`;

/** Finds libtorch, or throws a {@link UserError} that lists the ways to provide it. */
export function locateLibtorch(env: NodeJS.ProcessEnv = process.env): Libtorch {
  for (const variable of ["DARTS_LIBTORCH", "LIBTORCH"]) {
    const root = env[variable];
    if (root) return inFolder(root, variable);
  }
  if (env.DARTS_PYTHON) return inFolder(pythonTorch(env.DARTS_PYTHON), "DARTS_PYTHON");
  const system = onSystem();
  if (system) return system;
  throw new UserError(`No libtorch was found.\n${WAYS_TO_PROVIDE_LIBTORCH}`);
}

function inFolder(root: string, source: string): Libtorch {
  const include = join(root, "include");
  const lib = join(root, "lib");
  if (!existsSync(join(include, "ATen")) || !existsSync(join(lib, "libtorch_cpu.so"))) {
    throw new UserError(
      `${source} names ${root}, but there is no include/ATen and lib/libtorch_cpu.so in it.\n${WAYS_TO_PROVIDE_LIBTORCH}`,
    );
  }
  return describe(source, root, [include], lib);
}

function onSystem(): Libtorch | undefined {
  for (const prefix of ["/usr/local", "/usr"]) {
    const include = join(prefix, "include");
    if (!existsSync(join(include, "ATen", "core", "dispatch", "Dispatcher.h"))) continue;
    const architecture = { x64: "x86_64", arm64: "aarch64" }[process.arch as string] ?? process.arch;
    for (const folder of [`lib/${architecture}-linux-gnu`, "lib64", "lib"]) {
      const lib = join(prefix, folder);
      if (existsSync(join(lib, "libtorch_cpu.so"))) return describe("system", prefix, [include], lib);
    }
  }
  return undefined;
}

function pythonTorch(python: string): string {
  const program =
    "import importlib.util, os; spec = importlib.util.find_spec('torch'); print(os.path.dirname(spec.origin) if spec else '')";
  let folder: string;
  try {
    folder = execFileSync(python, ["-c", program], { encoding: "utf8" }).trim();
  } catch (error) {
    throw new UserError(
      `DARTS_PYTHON names ${python}, but it cannot be run: ${(error as Error).message.split("\n")[0]}\n${WAYS_TO_PROVIDE_LIBTORCH}`,
    );
  }
  if (!folder) {
    throw new UserError(`DARTS_PYTHON names ${python}, but it has no torch.\n${WAYS_TO_PROVIDE_LIBTORCH}`);
  }
  return folder;
}

function describe(source: string, root: string, include: string[], lib: string): Libtorch {
  const api = join(include[0], "torch", "csrc", "api", "include");
  return { source, root, include: [...include, api], lib, version: versionIn(include[0]), abi: abiOf(lib) };
}

function versionIn(include: string): string {
  for (const header of ["torch/headeronly/version.h", "torch/csrc/api/include/torch/version.h"]) {
    const path = join(include, header);
    if (!existsSync(path)) continue;
    const text = readFileSync(path, "utf8");
    const parts = ["MAJOR", "MINOR", "PATCH"].map((part) =>
      text.match(new RegExp(`define TORCH_VERSION_${part} (\\d+)`))?.at(1),
    );
    if (parts.every((part) => part !== undefined)) return parts.join(".");
  }
  throw new UserError(`No version header of libtorch under ${include}.\n${WAYS_TO_PROVIDE_LIBTORCH}`);
}

/** The name of std::string in the symbols of libc10 tells the ABI. */
function abiOf(lib: string): 0 | 1 {
  return readFileSync(join(lib, "libc10.so")).includes("__cxx1112basic_string") ? 1 : 0;
}
