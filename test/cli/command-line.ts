// Runs the real command in a folder of its own, as a user would.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const BIN = fileURLToPath(new URL("../../../bin/darts.mjs", import.meta.url));

/** What the command did. */
export interface Result {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A temporary folder and the command run inside it; `remove` takes the folder away again. */
export function commandLine() {
  const folder = mkdtempSync(join(tmpdir(), "darts-cli-"));
  return {
    folder,
    darts(
      args: readonly string[],
      { input = "", env = {} }: { input?: string; env?: NodeJS.ProcessEnv } = {},
    ): Result {
      const { status, stdout, stderr } = spawnSync(process.execPath, [BIN, ...args], {
        cwd: folder,
        input,
        encoding: "utf8",
        env: { ...process.env, DARTS_DEBUG: "", ...env },
      });
      return { code: status, stdout, stderr };
    },
    remove: () => rmSync(folder, { recursive: true }),
  };
}
