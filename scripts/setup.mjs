// Sets the project up: npm packages, compiled TypeScript, libtorch and the bridge. Quick when all is there.
// Plain JavaScript without dependencies, because it runs before anything is installed.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const project = fileURLToPath(new URL("..", import.meta.url));
const say = (line) => process.stderr.write(`${line}\n`);

function fail(message) {
  say(message);
  process.exit(2);
}

const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19))
  fail(`Node ${process.versions.node} is too old: 20.19 or newer is needed.`);

/** Runs `work` unless it succeeded before for the same `inputs`. */
function once(name, inputs, present, work) {
  const stamp = join(project, "dist", `.${name}`);
  const key = createHash("sha256").update(inputs).digest("hex");
  if (present && existsSync(stamp) && readFileSync(stamp, "utf8") === key) return;
  work();
  mkdirSync(join(project, "dist"), { recursive: true });
  writeFileSync(stamp, key);
}

function run(command, args, failure) {
  const child = spawnSync(command, args, { cwd: project, stdio: ["inherit", 2, 2] });
  if (child.error || child.status !== 0) fail(`${failure}${child.error ? `: ${child.error.message}` : "."}`);
}

/** Path, size and time of every file that the compiler reads. */
function sources() {
  const lines = [];
  for (const folder of ["src", "test", "bench", "scripts", "examples"]) {
    for (const entry of readdirSync(join(project, folder), { recursive: true, withFileTypes: true })) {
      if (!entry.name.endsWith(".ts")) continue;
      const path = join(entry.parentPath, entry.name);
      const { size, mtimeMs } = statSync(path);
      lines.push(`${path} ${size} ${mtimeMs}`);
    }
  }
  return [readFileSync(join(project, "tsconfig.json")), ...lines.sort()].join("\n");
}

once(
  "packages",
  readFileSync(join(project, "package-lock.json")),
  existsSync(join(project, "node_modules", "typescript")),
  () => {
    say("Installing npm packages …");
    run(
      "npm",
      ["ci", "--no-audit", "--no-fund"],
      "npm could not install the packages: check the network and try again",
    );
  },
);

once("compiled", sources(), existsSync(join(project, "dist", "src", "native", "setup.js")), () => {
  say("Compiling TypeScript …");
  run(
    process.execPath,
    [join("node_modules", "typescript", "bin", "tsc"), "-p", "."],
    "The TypeScript does not compile",
  );
});

const { setUp } = await import("../dist/src/native/setup.js");
await setUp(say).catch((error) => fail(error.name === "UserError" ? error.message : error.stack));
