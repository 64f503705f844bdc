// Lock files: held by one live process, recognised as stale when that process is gone. A process is known by host,
// number and the moment it started, because numbers are given again.
import { linkSync, readFileSync, renameSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { withPath } from "./files.ts";
import { isAlive, processStart } from "./processes.ts";

/** The process that holds a lock. */
export interface LockHolder {
  readonly host: string;
  readonly pid: number;
  /** When the process started, in the system's own words; null where the system does not say. */
  readonly started: string | null;
}

/** What came of trying to lock: the way to unlock, or who holds it (undefined: what is there is no lock of ours). */
export type LockAttempt =
  | { readonly unlock: () => void }
  | { readonly unlock: undefined; readonly holder: LockHolder | undefined };

/**
 * Locks `path` for this process, unless another live process holds it. A stale lock is taken over, and `onStale` hears
 * who had left it. The lock is given back at the latest when the process exits. Throws a {@link UserError} where no
 * file can be written.
 */
export function tryLock(path: string, onStale: (holder: string) => void): LockAttempt {
  const mine = JSON.stringify({ host: hostname(), pid: process.pid, started: processStart(process.pid) });
  for (let attempt = 0; !create(path, mine); attempt++) {
    const text = read(path);
    if (text === undefined) continue; // unlocked since
    const holder = parse(text);
    if (attempt > 3 || (holder !== undefined && mayLive(holder))) return { unlock: undefined, holder };
    if (takeAway(path, text)) onStale(describeHolder(holder));
  }
  const unlock = () => {
    process.off("exit", unlock);
    if (read(path) === mine) rmSync(path, { force: true });
  };
  process.on("exit", unlock); // also when a second Ctrl-C leaves at once
  return { unlock };
}

/** The holder in words. */
export function describeHolder(holder: LockHolder | undefined): string {
  return holder ? `process ${holder.pid} of ${holder.host}` : "a process that wrote half a lock";
}

/** Whether the holder runs on another host, where it cannot be asked whether it lives. */
export function isElsewhere(holder: LockHolder | undefined): boolean {
  return holder !== undefined && holder.host !== hostname();
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

function parse(text: string): LockHolder | undefined {
  try {
    const { host, pid, started } = JSON.parse(text) as Partial<Record<keyof LockHolder, unknown>>;
    if (typeof host !== "string" || typeof pid !== "number") return undefined;
    return { host, pid, started: typeof started === "string" ? started : null };
  } catch {
    return undefined; // a machine that went down left it half written
  }
}

/** A process of another host cannot be asked: it is taken for alive. */
function mayLive(holder: LockHolder): boolean {
  if (isElsewhere(holder)) return true;
  if (!isAlive(holder.pid)) return false;
  const now = processStart(holder.pid);
  return holder.started === null || now === null || now === holder.started;
}
