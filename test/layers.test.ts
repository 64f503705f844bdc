// The layers point one way: every import under src/ goes downwards, and what needs no tensors loads none.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const SOURCE = fileURLToPath(new URL("../../src", import.meta.url));

/** From the lowest: a file may import from its own folder, from lower ranks, and the bases from each other. */
const RANKS: readonly (readonly string[])[] = [
  [
    ...["errors.ts", "files.ts", "lock.ts", "processes.ts", "random", "config", "methods", "genotype"],
    ...["primitives", "candidates", "skeleton", "declare-space", "nas-bench-201", "spaces"].map(
      (name) => `space/${name}.ts`,
    ),
  ],
  ["native"],
  ["tensor"],
  ["nn", "optim", "data"],
  ["space"],
  ["search"],
  ["train"],
  ["plugin"],
  ["run", "check"],
  ["compare"],
  ["library"],
  ["cli", "server", "index.ts"],
];

/** What must work without libtorch: nothing here may load src/native or src/tensor when it is loaded itself. */
const PURE = [
  ...["errors.ts", "files.ts", "random", "config", "methods", "genotype", "compare", "cli"],
  ...["primitives", "candidates", "skeleton", "declare-space", "nas-bench-201", "spaces"].map(
    (name) => `space/${name}.ts`,
  ),
  "library/compare-runs.ts",
  ...["events", "figures", "run-folder", "safetensors", "genotype-source", "job"].map(
    (name) => `run/${name}.ts`,
  ),
];

interface Import {
  readonly from: string;
  readonly to: string;
  /** Erased by the compiler: it loads nothing. */
  readonly typeOnly: boolean;
  /** `import()` inside a function: loaded when that runs. */
  readonly lazy: boolean;
}

const files = readdirSync(SOURCE, { recursive: true, encoding: "utf8" }).filter((name) => /\.ts$/.test(name));
const imports = files.filter((file) => !file.endsWith(".d.ts")).flatMap(importsOf);

test("every import under src goes to the same folder or to a lower layer", () => {
  const wrong = imports.filter(({ from, to }) => {
    const [own, other] = [layerOf(from), layerOf(to)];
    return own.name !== other.name && (other.rank > own.rank || (other.rank === own.rank && own.rank > 0));
  });
  assert.deepEqual(
    wrong.map(({ from, to }) => `${from} imports ${to}`),
    [],
  );
  assert.ok(imports.length > 200, `only ${imports.length} imports were found: is src read at all?`);
});

test("no folder under src is called after nothing in particular", () => {
  const vague = files.filter((file) => /(^|\/)(utils?|helpers?|common|misc|managers?)(\/|\.ts$)/.test(file));
  assert.deepEqual(vague, []);
});

for (const pure of PURE) {
  test(`loading src/${pure} does not load libtorch`, () => {
    const roots = files.filter((file) => file === pure || file.startsWith(`${pure}/`));
    assert.ok(roots.length > 0, `there is no src/${pure}`);
    for (const root of roots) assert.deepEqual(nativeChain(root), [], `${root} leads to libtorch`);
  });
}

/** The imports of one file, by their paths below src. */
function importsOf(file: string): Import[] {
  const source = ts.createSourceFile(file, readFileSync(join(SOURCE, file), "utf8"), ts.ScriptTarget.Latest);
  const found: Import[] = [];
  const add = (specifier: ts.Node | undefined, kind: Pick<Import, "typeOnly" | "lazy">) => {
    if (!specifier || !ts.isStringLiteral(specifier) || !specifier.text.startsWith(".")) return;
    const to = relative(SOURCE, join(SOURCE, file, "..", specifier.text));
    assert.ok(existsSync(join(SOURCE, to)), `${file} imports ${specifier.text}, which is not there`);
    found.push({ from: file, to, ...kind });
  };
  const visit = (node: ts.Node): void => {
    // Only `import type { … }` is erased whole; `import { type … }` still loads the file.
    if (ts.isImportDeclaration(node))
      add(node.moduleSpecifier, { typeOnly: node.importClause?.isTypeOnly === true, lazy: false });
    if (ts.isExportDeclaration(node)) add(node.moduleSpecifier, { typeOnly: node.isTypeOnly, lazy: false });
    if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword)
      add(node.arguments[0], { typeOnly: false, lazy: true });
    if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument))
      add(node.argument.literal, { typeOnly: true, lazy: true });
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

function layerOf(file: string): { name: string; rank: number } {
  const [folder] = file.split("/");
  for (const name of [file, folder!]) {
    const rank = RANKS.findIndex((names) => names.includes(name));
    if (rank >= 0) return { name, rank };
  }
  assert.fail(`src/${file} belongs to no layer: add its folder to the ranks of this test`);
}

/** The files that lead from `root` to src/native or src/tensor when it is loaded; empty when none do. */
function nativeChain(root: string): string[] {
  const cameFrom = new Map<string, string>([[root, ""]]);
  for (const file of cameFrom.keys()) {
    if (/^(native|tensor)\//.test(file)) {
      const chain = [file];
      for (let at = file; at !== root; chain.unshift(at)) at = cameFrom.get(at)!;
      return chain;
    }
    for (const { from, to, typeOnly, lazy } of imports)
      if (from === file && !typeOnly && !lazy && !cameFrom.has(to)) cameFrom.set(to, file);
  }
  return [];
}
