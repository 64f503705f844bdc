// Runs the long tests of test/soak one after the other, or those named: `npm run test:soak -- kills`.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const project = fileURLToPath(new URL("..", import.meta.url));
const named = process.argv.slice(2).map((name) => `${name}.ts`);
const sources = named.length > 0 ? named : readdirSync(join(project, "test", "soak"));
for (const source of sources) {
  if (existsSync(join(project, "test", "soak", source))) continue;
  process.stderr.write(`There is no long test ${source}; name a file of test/soak.\n`);
  process.exit(2);
}
const files = sources
  .sort()
  .map((name) => join(project, "dist", "test", "soak", name.replace(/\.ts$/, ".js")));
const child = spawnSync(process.execPath, ["--enable-source-maps", "--test", ...files], {
  cwd: project,
  stdio: "inherit",
});
process.exit(child.status ?? 1);
