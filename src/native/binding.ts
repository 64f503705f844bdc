// The addon's functions as TypeScript sees them, loaded at first use: libtorch takes about a second to load.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { UserError } from "../errors.ts";
import { addonPath } from "./build.ts";
import { locateLibtorch } from "./locate.ts";

/** A tensor's place in the native table; 0 stands for no tensor. */
export type Slot = number;

/** What an operator returns before its slots are wrapped. */
export type RawResult = number | boolean | undefined | RawResult[];

/** The addon: libtorch's operators by name, and the few functions that are not operators. */
export interface Native {
  resolve(name: string, overload: string): [index: number, parameters: number, isTensor: boolean[]];
  call(index: number, ...args: unknown[]): RawResult;
  schemas(): string[];
  create(data: NodeJS.TypedArray, shape: readonly number[], dtype: string, device: string): Slot;
  read(slot: Slot): ArrayBuffer;
  free(slots: Uint32Array, count: number): void;
  free1(slot: Slot): void;
  alias(slot: Slot): Slot;
  shape(slot: Slot): number[];
  dtype(slot: Slot): string;
  device(slot: Slot): string;
  byteLength(slot: Slot): number;
  item(slot: Slot): number;
  liveTensors(): number;
  adjustMemory(bytes: number): void;
  grad(
    outputs: Slot[],
    inputs: Slot[],
    gradOutputs: Slot[] | null,
    retainGraph: boolean,
    createGraph: boolean,
  ): Slot[];
  backward(outputs: Slot[], gradOutputs: Slot[] | null, retainGraph: boolean, createGraph: boolean): void;
  gradientOf(slot: Slot): Slot;
  clearGradient(slot: Slot): void;
  setRequiresGrad(slot: Slot, flag: boolean): void;
  requiresGrad(slot: Slot): boolean;
  setGradMode(enabled: boolean): boolean;
  seed(device: string, seed: number): void;
  generatorState(device: string): Slot;
  setGeneratorState(device: string, slot: Slot): void;
  threads(): number;
  setThreads(operators: number, kernels: number): void;
  devices(): string[];
  version(): string;
}

let loaded: Native | undefined;

/** The addon, loaded on the first call. Throws a {@link UserError} when libtorch or the build is missing. */
export function native(): Native {
  loaded ??= load();
  return loaded;
}

function load(): Native {
  const libtorch = locateLibtorch();
  const path = addonPath(libtorch);
  if (!existsSync(path)) buildNow();
  limitSpinning();
  try {
    return createRequire(import.meta.url)(path) as Native;
  } catch (error) {
    throw new UserError(
      `libtorch ${libtorch.version} in ${libtorch.root} cannot be loaded: ${(error as Error).message}\n` +
        "See what is wrong with: darts doctor",
    );
  }
}

/**
 * The first use after an installation, or of another libtorch: the bridge is compiled, by a process of its own,
 * because this call cannot wait in any other way. Takes about a minute, once; says so on stderr.
 */
function buildNow(): void {
  const script = fileURLToPath(new URL("./build-now.js", import.meta.url));
  const { status, signal, stdout } = spawnSync(process.execPath, [script], {
    stdio: ["ignore", "pipe", 2],
    encoding: "utf8",
  });
  if (status === 0) return;
  throw new UserError(
    stdout.trim() || `Compiling the bridge was ended by ${signal ?? `exit code ${status}`}. Start it again.`,
  );
}

/**
 * OpenMP's threads wait for each other by spinning, by default for milliseconds: beside another busy process a
 * step then takes ten to fifty times as long (docs/log.md). A short spin costs nothing on a quiet machine. Read
 * by the OpenMP library when it is loaded, so set before; what the user has set stands.
 */
function limitSpinning(): void {
  const { env } = process;
  if (env["OMP_WAIT_POLICY"] === undefined) env["GOMP_SPINCOUNT"] ??= "1000";
}
