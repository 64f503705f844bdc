// The lock of a run's folder: held by one live process, recognised as stale when that process is gone. A process
// is known by host, number and the moment it started, because numbers are given again.
import { linkSync, readFileSync, renameSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { UserError } from "../errors.ts";
import { withPath } from "../files.ts";
import { isAlive, processStart } from "../processes.ts";

/** The lock's name in the run's folder. */
export const LOCK_FILE = "lock.json";

interface Holder {
  readonly host: string;
  readonly pid: number;
  /** When the process started, in the system's own words; null where the system does not say. */
  readonly started: string | null;
}

/**
 * Locks the run in `folder` for this process; returns what unlocks it. Throws a {@link UserError} when another live
 * process holds it; a stale lock is taken over, and `report` says so.
 */
export function lockRun(folder: string, report: (line: string) => void): () => void {
  const path = join(folder, LOCK_FILE);
  const mine = JSON.stringify({ host: hostname(), pid: process.pid, started: processStart(process.pid) });
  for (let attempt = 0; !create(path, mine); attempt++) {
    const text = read(path);
    if (text === undefined) continue; // unlocked since
    const holder = parse(text);
    if (attempt > 3 || (holder !== undefined && mayLive(holder))) throw inUse(folder, path, holder);
    if (takeAway(path, text)) report(`${folder} was left locked by ${describe(holder)}, which is gone.`);
  }
  const unlock = () => {
    process.off("exit", unlock);
    if (read(path) === mine) rmSync(path, { force: true });
  };
  process.on("exit", unlock); // also when a second Ctrl-C leaves at once
  return unlock;
}

/** Whole or not at all, and never over another: a link cannot replace what is there. */
function create(path: string, text: string): boolean {
  const temporary = `${path}.${process.pid}.tmp`;
  return withPath("write", path, () => {
    try {
      writeFileSync(temporary, text);
      linkSync(temporary, path);
      return true;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EEXIST") return false;
      if (code !== "EPERM" && code !== "ENOTSUP" && code !== "ENOSYS") throw error;
      return createPlain(path, text);
    } finally {
      rmSync(temporary, { force: true });
    }
  });
}

/** For file systems without links (exFAT, some network ones). */
function createPlain(path: string, text: string): boolean {
  try {
    writeFileSync(path, text, { flag: "wx" });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/** Moves the stale lock away first: of two processes that found it, one moves it, and a fresh one is put back. */
function takeAway(path: string, stale: string): boolean {
  const aside = `${path}.${process.pid}.tmp`;
  try {
    renameSync(path, aside);
  } catch {
    return false;
  }
  if (read(aside) === stale) {
    unlinkSync(aside);
    return true;
  }
  renameSync(aside, path);
  return false;
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

function parse(text: string): Holder | undefined {
  try {
    const { host, pid, started } = JSON.parse(text) as Partial<Record<keyof Holder, unknown>>;
    if (typeof host !== "string" || typeof pid !== "number") return undefined;
    return { host, pid, started: typeof started === "string" ? started : null };
  } catch {
    return undefined; // a machine that went down left it half written
  }
}

/** A process of another host cannot be asked: it is taken for alive. */
function mayLive({ host, pid, started }: Holder): boolean {
  if (host !== hostname()) return true;
  if (!isAlive(pid)) return false;
  const now = processStart(pid);
  return started === null || now === null || now === started;
}

function describe(holder: Holder | undefined): string {
  return holder ? `process ${holder.pid} of ${holder.host}` : "a process that wrote half a lock";
}

function inUse(folder: string, path: string, holder: Holder | undefined): UserError {
  const elsewhere = holder !== undefined && holder.host !== hostname();
  const advice = elsewhere
    ? `This is ${hostname()}, from where it cannot be asked whether it still runs; if it does not, remove ${path}.`
    : "Wait for it or stop it: a run has one process.";
  return new UserError(`${folder} is in use by ${describe(holder)}. ${advice}`);
}
