// Runs the whole suite, or the tests below the folders or files given: `npm test -- data genotype`.
// Two files at a time; each has a process of its own, as suits a native addon.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const project = fileURLToPath(new URL("..", import.meta.url));

/** Compiled tests whose source is still there. */
function testsBelow(path) {
  const source = join(project, "test", path);
  if (!existsSync(source)) {
    process.stderr.write(`There is no test ${path}; name a folder or file below test/.\n`);
    process.exit(2);
  }
  const files = statSync(source).isFile()
    ? [path]
    : readdirSync(source, { recursive: true }).map((name) => join(path, name));
  return files
    .filter((name) => name.endsWith(".test.ts"))
    .map((name) => join(project, "dist", "test", name.replace(/\.ts$/, ".js")));
}

const wanted = process.argv.slice(2);
const files = (wanted.length > 0 ? wanted : ["."]).flatMap(testsBelow).sort();
const child = spawnSync(
  process.execPath,
  ["--enable-source-maps", "--test", "--test-concurrency=2", ...files],
  {
    cwd: project,
    stdio: "inherit",
  },
);
process.exit(child.status ?? 1);
