// What is quick because it loads little: no native library is in the process of a command that needs none.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { commandLine } from "./command-line.ts";

const { folder, darts, remove } = commandLine();
after(remove);
const seen = join(folder, "seen.json");

// Notes every native module that is opened and, where the system tells, every library in memory at the end.
before(() =>
  writeFileSync(
    join(folder, "watch.cjs"),
    `const { existsSync, readFileSync, writeFileSync } = require("node:fs");
     const opened = []; const dlopen = process.dlopen;
     process.dlopen = (module, file, ...rest) => { opened.push(file); return dlopen.call(process, module, file, ...rest); };
     process.on("exit", () => {
       const maps = existsSync("/proc/self/maps") ? readFileSync("/proc/self/maps", "utf8") : "";
       const libraries = [...new Set(maps.match(/lib(torch|c10|openblas)\\S*\\.so\\S*/g) ?? [])];
       writeFileSync(process.env.SEEN, JSON.stringify({ opened, libraries }));
     });`,
  ),
);

function nativeOf(args: readonly string[]): { opened: string[]; libraries: string[] } {
  const { code, stderr } = darts(args, {
    env: { SEEN: seen, NODE_OPTIONS: `--require=${join(folder, "watch.cjs")}` },
  });
  assert.equal(code, 0, stderr);
  return JSON.parse(readFileSync(seen, "utf8"));
}

for (const args of [
  ["--help"],
  ["--version"],
  ["run", "--help"],
  ["show", "DARTS_V2"],
  ["show", "DARTS_V2", "--json"],
  ["presets", "paper"],
  ["data", "list"],
]) {
  test(`darts ${args.join(" ")} loads nothing native`, () => {
    assert.deepEqual(nativeOf(args), { opened: [], libraries: [] });
  });
}

test("a command that computes does load libtorch, and the watch sees it", () => {
  const { opened, libraries } = nativeOf(["toy", "--steps", "1"]);
  assert.ok(
    opened.some((file) => file.endsWith("darts.node")),
    opened.join(),
  );
  if (process.platform === "linux")
    assert.ok(
      libraries.some((name) => name.startsWith("libtorch")),
      libraries.join(),
    );
});
