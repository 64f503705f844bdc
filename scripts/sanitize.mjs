// The kernels under sanitizers: `npm run test:sanitize`. Their threads alone under ThreadSanitizer, then a build of the bridge
// with AddressSanitizer, UBSan and red zones (native/kernels/red_zones.h) under the kernels' tests, or under the tests named:
// `npm run test:sanitize -- kernels/cell.test.ts`. Ends with 0 only if no sanitizer reported anything. Linux and GCC.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const project = fileURLToPath(new URL("..", import.meta.url));
const compiler = process.env.CXX ?? "g++";
const folder = mkdtempSync(join(tmpdir(), "darts-sanitize-"));
let failures = 0;
try {
  if (process.platform !== "linux")
    throw new Error("The sanitizers' libraries are looked for as Linux has them.");
  testThreads();
  testKernels();
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  failures++;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exit(failures > 0 ? 1 : 0);

/** The threads, without libtorch and Node, of which ThreadSanitizer sees nothing. */
function testThreads() {
  const program = join(folder, "threads");
  const sources = ["scripts/sanitize/threads.cc", "native/kernels/threads.cc"];
  const flags = ["-std=c++17", "-O1", "-g", "-fsanitize=thread", "-pthread"];
  run("Compiling the threads for ThreadSanitizer", compiler, [...flags, ...sources, "-o", program]);
  run("Threads under ThreadSanitizer", program, [], {
    TSAN_OPTIONS: `halt_on_error=0:exitcode=66:log_path=${join(folder, "thread")}`,
  });
  report("thread");
}

function testKernels() {
  const build = {
    DARTS_CXXFLAGS:
      "-O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g1 -DDARTS_RED_ZONES",
  };
  run(
    "Building the bridge with sanitizers",
    process.execPath,
    [join("dist", "src", "native", "build-now.js")],
    build,
  );
  // The bridge is loaded by a program without sanitizers: their libraries must be there before it. The C++ library, too:
  // what it throws would otherwise not be found.
  const preloaded = ["libasan.so", "libubsan.so", "libstdc++.so"].map(findLibrary).join(" ");
  const named = process.argv.slice(2);
  run(
    "Tests under AddressSanitizer and UBSan",
    process.execPath,
    ["scripts/test.mjs", ...(named.length ? named : ["kernels"])],
    {
      ...build,
      LD_PRELOAD: preloaded,
      // Node and libtorch keep what they have until the end, which is no leak of ours.
      ASAN_OPTIONS: `detect_leaks=0:exitcode=66:log_path=${join(folder, "address")}`,
      UBSAN_OPTIONS: `print_stacktrace=1:exitcode=66:log_path=${join(folder, "undefined")}`,
    },
  );
  report("address", "undefined");
}

/** A library of the compiler's, by its path. */
function findLibrary(name) {
  const { stdout } = spawnSync(compiler, [`-print-file-name=${name}`], { encoding: "utf8" });
  const path = stdout?.trim() ?? "";
  if (!existsSync(path))
    throw new Error(`${compiler} has no ${name}: install GCC with its sanitizers, or name it in CXX.`);
  return path;
}

function run(what, command, args, env = {}) {
  process.stdout.write(`# ${what}\n`);
  const { status, error } = spawnSync(command, args, {
    cwd: project,
    stdio: "inherit",
    env: { ...process.env, ...env },
  });
  if (status === 0) return;
  failures++;
  process.stderr.write(`${what}: ended with ${error?.message ?? status}\n`);
}

/** Prints what sanitizers wrote to files of these names. */
function report(...names) {
  const files = readdirSync(folder).filter((file) => names.some((name) => file.startsWith(`${name}.`)));
  for (const file of files) process.stderr.write(`${readFileSync(join(folder, file), "utf8")}\n`);
  failures += files.length;
}
