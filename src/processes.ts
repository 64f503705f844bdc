// Other processes of this machine: whether they live, and since when.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

/** Whether a process of that number runs on this host. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0); // signal 0 only asks
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/**
 * When a process started, as a text to compare; null where the system does not say. On Linux it is the boot
 * and the clock ticks since, in which the wall clock, which may jump, has no part; elsewhere what ps says.
 */
export function processStart(pid: number): string | null {
  try {
    // The command's name, in brackets, may hold anything; the fields after it are numbers (proc(5): starttime is 22nd).
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const [state, ...fields] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const ticks = fields[18];
    // One that has ended but whose parent has not asked for its exit code still has its number.
    if (state === "Z") return "ended";
    return `${readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()} ${ticks}`;
  } catch {
    return startByPs(pid);
  }
}

function startByPs(pid: number): string | null {
  try {
    return execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], {
      encoding: "utf8",
      stdio: "pipe",
    }).trim();
  } catch {
    return null;
  }
}
