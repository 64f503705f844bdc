// Places that cannot be written, made without anyone's help: a file system of so many kilobytes where mounting is
// allowed, else (and besides) a limit on the size of files, which every user may set.
import { spawnSync } from "node:child_process";
import { mkdirSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** A mounted file system and the way to take it away. */
export interface SmallDisk {
  readonly path: string;
  readonly readOnly: () => boolean;
  readonly remove: () => void;
}

/** Mounts a memory file system of `kilobytes` at `path`; undefined where that is not allowed. */
export function smallDisk(path: string, kilobytes: number): SmallDisk | undefined {
  mkdirSync(path, { recursive: true });
  const mount = (...args: string[]) => spawnSync("mount", args, { stdio: "ignore" }).status === 0;
  if (!mount("-t", "tmpfs", "-o", `size=${kilobytes}k`, "tmpfs", path)) return undefined;
  return {
    path,
    readOnly: () => mount("-o", "remount,ro", path),
    remove: () => void spawnSync("umount", ["-l", path], { stdio: "ignore" }),
  };
}

/** Fills a file system to its last byte. */
export function fill(path: string): void {
  const { bavail, bsize } = statfsSync(path);
  try {
    writeFileSync(join(path, "filler"), new Uint8Array(bavail * bsize + bsize));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
  }
}

/** Runs node with `args` where no file may grow beyond `blocks` of 512 bytes (1024 in some shells). */
export function withFileLimit(blocks: number, args: readonly string[], cwd?: string) {
  const command = `ulimit -f ${blocks} && exec "$0" "$@"`;
  return spawnSync("sh", ["-c", command, process.execPath, ...args], {
    encoding: "utf8",
    ...(cwd ? { cwd } : {}),
  });
}
