// The lock of a run's folder: a run has one process.
import { hostname } from "node:os";
import { join } from "node:path";
import { UserError } from "../errors.ts";
import { describeHolder, isElsewhere, type LockHolder, tryLock } from "../lock.ts";

/** The lock's name in the run's folder. */
export const LOCK_FILE = "lock.json";

/**
 * Locks the run in `folder` for this process; returns what unlocks it. Throws a {@link UserError} when another live
 * process holds it; a stale lock is taken over, and `report` says so.
 */
export function lockRun(folder: string, report: (line: string) => void): () => void {
  const path = join(folder, LOCK_FILE);
  const attempt = tryLock(path, (holder) => report(`${folder} was left locked by ${holder}, which is gone.`));
  if (attempt.unlock) return attempt.unlock;
  throw inUse(folder, path, attempt.holder);
}

function inUse(folder: string, path: string, holder: LockHolder | undefined): UserError {
  const advice = isElsewhere(holder)
    ? `This is ${hostname()}, from where it cannot be asked whether it still runs; if it does not, remove ${path}.`
    : "Wait for it or stop it: a run has one process.";
  return new UserError(`${folder} is in use by ${describeHolder(holder)}. ${advice}`);
}
