// Packs the project, installs the tarball with npm in an empty folder (its dependencies come from npm's registry or
// cache), and searches there: the bridge is compiled on the first use, from the packed sources.
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const project = fileURLToPath(new URL("..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "darts-install-"));

function run(command, args, cwd = folder) {
  process.stderr.write(`$ ${command} ${args.join(" ")}\n`);
  const { status, stdout } = spawnSync(command, args, {
    cwd,
    stdio: ["ignore", "pipe", 2],
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`${command} ${args[0]} failed (${status}):\n${stdout}`);
  return stdout;
}

try {
  const [{ filename }] = JSON.parse(run("npm", ["pack", "--json", "--pack-destination", folder], project));
  writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "consumer", private: true }));
  run("npm", ["install", "--no-audit", "--no-fund", "--prefer-offline", join(folder, filename)]);
  cpSync(join(project, "examples", "own-dataset.ts"), join(folder, "own-dataset.ts"));
  const settings = ["search.epochs=1", "search.channels=4", "search.cells=3", "search.batchSize=16"];
  const sets = ["data.name=shapes", ...settings].flatMap((assignment) => ["--set", assignment]);
  const out = run("npx", [
    "--no-install",
    "darts",
    "search",
    "--plugin",
    "own-dataset.ts",
    ...sets,
    "--json",
  ]);
  const { search } = JSON.parse(out);
  process.stdout.write(`Installed, compiled and searched: ${search.genotype.normal.length} edges.\n`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
