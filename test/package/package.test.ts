// The package as npm packs it, in an empty folder: it holds all it needs, its commands work, a strict TypeScript
// program uses it, and the linters of packages find nothing. The dependencies are links to our own, so that no network
// is needed, and the bridge is ours if, and only if, the packed sources are the same; `npm run check:package` installs
// with npm and compiles.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { extract } from "tar";

const PROJECT = fileURLToPath(new URL("../../../", import.meta.url));
const EXAMPLES = join(PROJECT, "examples");
const folder = mkdtempSync(join(tmpdir(), "darts-package-"));
after(() => rmSync(folder, { recursive: true }));

const installed = join(folder, "node_modules", "darts-nas");
let tarball = "";

before(async () => {
  const { stdout } = run(
    "npm",
    ["pack", "--ignore-scripts", "--json", "--pack-destination", folder],
    PROJECT,
  );
  tarball = join(folder, (JSON.parse(stdout) as [{ filename: string }])[0].filename);
  mkdirSync(installed, { recursive: true });
  await extract({ file: tarball, cwd: installed, strip: 1 });
  const { dependencies } = JSON.parse(readFileSync(join(installed, "package.json"), "utf8")) as {
    dependencies: Record<string, string>;
  };
  for (const name of [...Object.keys(dependencies), "@types/node"]) {
    const link = join(folder, "node_modules", name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(join(PROJECT, "node_modules", name), link);
  }
  writeFileSync(
    join(folder, "package.json"),
    JSON.stringify({ name: "consumer", type: "module", private: true }),
  );
});

test("the tarball holds the compiled library, the native sources and the command, and nothing else", () => {
  assert.deepEqual(readdirSync(installed).sort(), [
    ...["LICENSE", "README.md", "bin", "dist", "examples", "native", "package.json"],
  ]);
  assert.deepEqual(readdirSync(join(installed, "dist")), ["src"]);
});

test("its commands work there, and it would compile the very sources that ours compiled", () => {
  assert.match(darts("--help").stdout, /darts run --preset quick/);
  const { params } = JSON.parse(darts("show", "DARTS_V2", "--json").stdout) as { params: number };
  assert.equal(params, 3_349_342);
  const bridge = ourBridge();
  mkdirSync(join(installed, "build"));
  cpSync(dirname(bridge), join(installed, "build", basename(dirname(bridge))), { recursive: true });
  const diagnosis = JSON.parse(darts("doctor", "--json").stdout) as { ok: boolean; addon: string };
  assert.equal(diagnosis.ok, true, "the packed sources differ from those that were compiled");
  assert.ok(diagnosis.addon.startsWith(installed));
});

test("it searches there on data of a plugin that imports it by name", () => {
  cpSync(join(EXAMPLES, "own-dataset.ts"), join(folder, "own-dataset.ts"));
  writeFileSync(
    join(folder, "tiny.yaml"),
    "plugin: [own-dataset.ts]\nthreads: 1\ndata: { name: shapes, trainImages: 40, testImages: 10 }\n" +
      "space: { nodes: 2, primitives: [none, skip_connect, sep_conv_3x3] }\n" +
      "search: { channels: 2, cells: 3, epochs: 1, batchSize: 8 }\n",
  );
  const { search } = JSON.parse(darts("search", "--config", "tiny.yaml", "--json").stdout) as {
    search: { genotype: { normal: unknown[] } };
  };
  assert.equal(search.genotype.normal.length, 4);
});

test("a strict TypeScript program compiles against its types, and runs", () => {
  writeFileSync(
    join(folder, "program.ts"),
    `import { countNetwork, defineDataset, findGenotype, register, search, type SearchReport } from "darts-nas";
const images = new Uint8Array(40 * 64).map((_, i) => (i * 31) % 256);
const set = { images, labels: new Uint8Array(40).map((_, i) => i % 2), count: 40, channels: 1, height: 8, width: 8 };
register(defineDataset({ name: "own", description: "own", load: () => ({ classes: ["a", "b"], train: set, test: set }) }));
let epochs = 0;
const report: SearchReport = await search(
  { threads: 1, data: { name: "own" }, space: { nodes: 2, primitives: ["none", "skip_connect"] },
    search: { channels: 2, cells: 3, epochs: 2, batchSize: 8 } },
  { onEvent(event) { if (event.type === "search-epoch") epochs += event.seconds > 0 ? 1 : 0; } },
);
// @ts-expect-error: there is no such option
void search({}, { sgnal: undefined });
console.log(JSON.stringify({ epochs, edges: report.search.genotype.normal.length,
  params: countNetwork(findGenotype("DARTS_V2"), { channels: 36, cells: 20 }).params }));
process.exit(0);
`,
  );
  const compilerOptions = {
    ...{
      strict: true,
      target: "es2022",
      module: "nodenext",
      types: ["node"],
      noUncheckedIndexedAccess: true,
    },
    ...{ lib: ["es2023", "esnext.disposable"], exactOptionalPropertyTypes: true, skipLibCheck: false },
  };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["program.ts"] }));
  const tsc = join(PROJECT, "node_modules/typescript/bin/tsc");
  run(process.execPath, [tsc, "-p", "."], folder);
  const { stdout } = run(process.execPath, ["program.js"], folder);
  assert.deepEqual(JSON.parse(stdout), { epochs: 2, edges: 4, params: 3_349_342 });
});

test("publint and attw find nothing to say of it", () => {
  const tool = (name: string) => join(PROJECT, "node_modules", ".bin", name);
  run(tool("publint"), ["--strict", tarball], folder);
  run(tool("attw"), [tarball, "--profile", "esm-only"], folder);
});

function darts(...args: string[]) {
  return run(process.execPath, [join(installed, "bin/darts.mjs"), ...args], folder);
}

/** The bridge that this machine has already compiled for the project. */
function ourBridge(): string {
  const { stdout } = run(process.execPath, [join(PROJECT, "bin/darts.mjs"), "doctor", "--json"], folder);
  return (JSON.parse(stdout) as { addon: string }).addon;
}

function run(command: string, args: readonly string[], cwd: string) {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: "utf8" });
  assert.equal(status, 0, `${basename(command)} ${args.join(" ")}: ${stdout}\n${stderr}`);
  return { stdout, stderr };
}
