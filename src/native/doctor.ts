// Is libtorch there, is it the right one, does it compute? Verified in a child process: a broken library
// must not take the command down with it.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { UserError } from "../errors.ts";
import { addonPath } from "./build.ts";
import { type Libtorch, locateLibtorch } from "./locate.ts";

/** What `darts doctor` found. */
export interface Diagnosis {
  readonly ok: boolean;
  readonly node: string;
  /** The libtorch that would be used; null when there is none. */
  readonly libtorch: { path: string; version: string; abi: 0 | 1; source: string; operators: number } | null;
  /** Where the compiled bridge lies; null when it is not built. */
  readonly addon: string | null;
  readonly devices: readonly string[];
  readonly threads: number;
  /** The build of the fused kernels that this processor runs (DARTS_KERNELS_ISA forces one); null without a bridge. */
  readonly kernels: string | null;
  /** What is wrong, each with what to do; empty when all is well. */
  readonly problems: readonly string[];
}

interface Probe {
  version: string;
  devices: string[];
  threads: number;
  correct: boolean;
  operators: number;
  kernelLanes: number;
}

/** The kernels' builds by their floats in a vector. */
const KERNELS: Readonly<Record<number, string>> = { 16: "avx512", 8: "avx2", 4: "portable" };

/** Examines the machine; never throws for what it finds. */
export async function diagnose(): Promise<Diagnosis> {
  const problems: string[] = [];
  const found = attempt(locateLibtorch, problems);
  const path = found && addonPath(found);
  const built = path !== undefined && existsSync(path);
  if (found && !built) problems.push("The bridge is not built: the first command that computes builds it.");
  const probe = built ? runProbe(problems) : undefined;
  return {
    ok: problems.length === 0,
    node: process.version,
    libtorch: found ? libtorchReport(found, probe) : null,
    addon: built ? path : null,
    devices: probe?.devices ?? [],
    threads: probe?.threads ?? 0,
    kernels: probe ? (KERNELS[probe.kernelLanes] ?? null) : null,
    problems,
  };
}

function attempt(locate: () => Libtorch, problems: string[]): Libtorch | undefined {
  try {
    return locate();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    problems.push(error.message);
    return undefined;
  }
}

function libtorchReport(found: Libtorch, probe: Probe | undefined) {
  const { root, version, abi, source } = found;
  return { path: root, version, abi, source, operators: probe?.operators ?? 0 };
}

function runProbe(problems: string[]): Probe | undefined {
  const child = spawnSync(process.execPath, [fileURLToPath(new URL("./probe.js", import.meta.url))], {
    encoding: "utf8",
    env: { ...process.env, DARTS_PROBE_THREADS: String(availableParallelism()) },
  });
  if (child.status !== 0) {
    const reason = child.signal
      ? `was ended by ${child.signal}`
      : child.stderr.trim().split("\n").slice(-3).join("\n");
    problems.push(`libtorch does not load or compute in a child process: ${reason}`);
    return undefined;
  }
  const probe = JSON.parse(child.stdout) as Probe;
  if (!probe.correct)
    problems.push("libtorch computes 1 + 1 wrongly: reinstall it, or name another one in LIBTORCH.");
  return probe;
}
