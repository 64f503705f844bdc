// What `npm start` and `npm test` do before anything else: see that libtorch is there and the bridge is built.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { UserError } from "../errors.ts";
import { buildAddon } from "./build.ts";
import { type Libtorch, locateLibtorch, WAYS_TO_PROVIDE_LIBTORCH } from "./locate.ts";

const PACKAGES = ["libtorch-dev", "libopenblas0-pthread"];

/** Installs libtorch on Debian or Ubuntu if it is missing, then builds the bridge if it is not built. */
export async function setUp(report: (line: string) => void): Promise<void> {
  await buildAddon(findOrInstall(report), report);
}

function findOrInstall(report: (line: string) => void): Libtorch {
  const named = process.env.DARTS_LIBTORCH || process.env.LIBTORCH || process.env.DARTS_PYTHON;
  const missing =
    named || !existsSync("/usr/bin/dpkg-query") ? [] : PACKAGES.filter((name) => !isInstalled(name));
  try {
    const found = locateLibtorch();
    // OpenBLAS beside a libtorch that is there makes it fast, not possible: a failure to add it is no error.
    if (found.source === "system" && missing.length > 0) install(missing, report, false);
    return found;
  } catch (error) {
    if (named || missing.length === 0) throw error;
    install(missing, report, true);
    return locateLibtorch();
  }
}

function isInstalled(name: string): boolean {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg's own placeholder
  const query = spawnSync("dpkg-query", ["-W", "-f", "${db:Status-Status}", name], { encoding: "utf8" });
  return query.stdout === "installed";
}

function install(packages: string[], report: (line: string) => void, required: boolean): void {
  const root = process.getuid?.() === 0;
  if (!root && spawnSync("sudo", ["--version"], { stdio: "ignore" }).status !== 0) {
    const message = `${packages.join(" and ")} must be installed, and that needs root or sudo.\n${WAYS_TO_PROVIDE_LIBTORCH}`;
    if (required) throw new UserError(message);
    report(`Going on without ${packages.join(" and ")}: computing will be slower.`);
    return;
  }
  const apt = root ? ["apt-get"] : ["sudo", "apt-get"];
  report(
    `Installing ${packages.join(" and ")} with ${apt.join(" ")} (about 200 MB to download, a minute or two) …`,
  );
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const run = (...args: string[]) =>
    spawnSync(apt[0], [...apt.slice(1), ...args], { env, stdio: ["inherit", "ignore", "inherit"] }).status ===
    0;
  run("update", "-qq");
  if (run("install", "-y", "-qq", "--no-install-recommends", ...packages)) return;
  if (required)
    throw new UserError(`apt-get could not install ${packages.join(" and ")}.\n${WAYS_TO_PROVIDE_LIBTORCH}`);
  report(`apt-get could not install ${packages.join(" and ")}: computing will be slower.`);
}
