// Downloads by the clients people already have and have set up for their network: npm and apt.
// They know the mirror, the proxy and the credentials; nothing is installed and no script is run.
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { UserError } from "../errors.ts";

/** Downloads the tarball of an npm package, given as name@version, into `folder`; returns its path. */
export async function fetchNpmPackage(spec: string, folder: string, signal?: AbortSignal): Promise<string> {
  // npm's own cache would keep a second copy of the tarball for ever: it goes into the folder instead.
  const quiet = ["--loglevel=error", "--no-update-notifier", "--ignore-scripts"];
  const to = [`--cache=${join(folder, "npm-cache")}`, `--pack-destination=${folder}`];
  await runClient("npm", ["pack", spec, ...quiet, ...to], folder, signal);
  return onlyFile(folder, ".tgz", `npm pack ${spec}`);
}

/** Downloads a Debian package by apt and unpacks it without installing; returns the unpacked tree. */
export async function fetchDebianPackage(
  name: string,
  folder: string,
  signal?: AbortSignal,
): Promise<string> {
  await runClient("apt-get", ["download", name], folder, signal);
  const tree = join(folder, "unpacked");
  await runClient(
    "dpkg-deb",
    ["-x", onlyFile(folder, ".deb", `apt-get download ${name}`), tree],
    folder,
    signal,
  );
  return tree;
}

function onlyFile(folder: string, ending: string, command: string): string {
  const found = readdirSync(folder).filter((file) => file.endsWith(ending));
  if (found.length === 1) return join(folder, found[0]);
  throw new UserError(
    `"${command}" left ${found.length} ${ending} files, expected 1. Run it by hand to see why.`,
  );
}

/** Runs a client to its end; a failure becomes a UserError that tells its cause apart. */
function runClient(command: string, args: string[], folder: string, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    // On Windows npm is a script, which only a shell can start.
    const shell = process.platform === "win32";
    const child = spawn(command, args, { cwd: folder, shell, stdio: ["ignore", "ignore", "pipe"], signal });
    let complaint = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      complaint = (complaint + text).slice(-8000);
    });
    child.on("error", (error) => {
      if (signal?.aborted) return; // killed: it may write until it has closed
      const absent = (error as NodeJS.ErrnoException).code === "ENOENT";
      reject(
        absent ? new UserError(`The program ${command} is not on this machine.`, { cause: error }) : error,
      );
    });
    child.on("close", (code, killedBy) => {
      if (signal?.aborted) reject(signal.reason);
      else if (code === 0) resolve();
      else
        reject(
          new UserError(failure(`${command} ${args.slice(0, 2).join(" ")}`, complaint, code ?? killedBy)),
        );
    });
  });
}

const FULL = /ENOSPC|EDQUOT|no space left/i;
const OFFLINE =
  /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ERR_SOCKET|could not resolve|could not connect|temporary failure|unable to connect|network/i;

function failure(command: string, complaint: string, code: number | string | null): string {
  const lines = complaint.split("\n").filter((line) => /\S/.test(line) && !/^W:|complete log/.test(line));
  const said = lines.slice(0, 4).join("\n  ");
  if (FULL.test(complaint)) return `The disk is full: "${command}" could not write its download.\n  ${said}`;
  if (OFFLINE.test(complaint)) return `No network: "${command}" did not reach its server.\n  ${said}`;
  if (/unable to locate package/i.test(complaint)) {
    return `"${command}" knows no such package. "apt-get update" fetches the list of packages.\n  ${said}`;
  }
  return `"${command}" failed (${code}).\n  ${said}`;
}
