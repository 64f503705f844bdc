// Runs the whole suite, or the tests below the folders or files given: `npm test -- data genotype`.
// Two files at a time; each has a process of its own, as suits a native addon. The kernels' tests run on every build of the
// kernels that the machine has, unless DARTS_KERNELS_ISA forces one.
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

/** Runs the files; the exit code. */
function run(files, env = {}) {
  const child = spawnSync(
    process.execPath,
    ["--enable-source-maps", "--test", "--test-concurrency=2", ...files],
    { cwd: project, stdio: "inherit", env: { ...process.env, ...env } },
  );
  return child.status ?? 1;
}

/** Builds of the kernels that this machine runs beside the one that it chooses, unless one is forced. */
function otherBuilds() {
  if (process.env.DARTS_KERNELS_ISA) return [];
  const doctor = spawnSync(process.execPath, [join(project, "bin", "darts.mjs"), "doctor", "--json"], {
    encoding: "utf8",
  });
  const builds = ["avx512", "avx2", "portable"];
  return builds.slice(builds.indexOf(JSON.parse(doctor.stdout).kernels) + 1);
}

const wanted = process.argv.slice(2);
const files = (wanted.length > 0 ? wanted : ["."]).flatMap(testsBelow).sort();
let status = run(files);
const ofKernels = files.filter((file) => file.startsWith(join(project, "dist", "test", "kernels")));
for (const build of ofKernels.length > 0 ? otherBuilds() : []) {
  process.stdout.write(`# The kernels' tests on their ${build} build\n`);
  status = run(ofKernels, { DARTS_KERNELS_ISA: build }) || status;
}
process.exit(status);
