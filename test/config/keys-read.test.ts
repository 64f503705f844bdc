// Every configuration key is read somewhere: a key that is silently ignored is worse than none.
// TypeScript's own checker says which property an expression reads, so a key counts as read also through
// `const { search } = config` or a parameter of type Config["search"], and a like-named property does not.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { configKeys, optionKeys } from "../../src/config/keys.ts";

const root = fileURLToPath(new URL("../../../", import.meta.url));

test("every configuration key is read by the code that it configures", () => {
  const read = keysRead();
  assert.deepEqual(
    [...configKeys(), ...optionKeys()].flatMap(({ path }) => (read.has(path) ? [] : [path])),
    [],
    "keys that nothing outside src/config and src/methods reads",
  );
});

function keysRead(): Set<string> {
  const { config } = ts.readConfigFile(`${root}tsconfig.json`, ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
  const files = ts.sys.readDirectory(`${root}src`, [".ts"]);
  const program = ts.createProgram(files, {
    ...options,
    incremental: false,
    tsBuildInfoFile: undefined,
    noEmit: true,
  });
  const checker = program.getTypeChecker();
  const declared = declarations(program, `${root}src/config/schema.ts`);
  for (const file of ts.sys.readDirectory(`${root}src/methods`, [".ts"])) {
    for (const node of optionDeclarations(program, file)) {
      declared.set(node, `search.options.${node.name.getText()}`);
    }
  }
  const read = new Set<string>();

  const note = (symbol: ts.Symbol | undefined) => {
    for (const declaration of symbol?.declarations ?? []) {
      const path = declared.get(declaration);
      if (path !== undefined) read.add(path);
    }
  };
  const visit = (node: ts.Node): void => {
    if (ts.isPropertyAccessExpression(node)) note(checker.getSymbolAtLocation(node.name));
    if (ts.isBindingElement(node) && ts.isObjectBindingPattern(node.parent)) {
      const name = node.propertyName ?? node.name;
      if (ts.isIdentifier(name)) note(checker.getTypeAtLocation(node.parent).getProperty(name.text));
    }
    ts.forEachChild(node, visit);
  };
  for (const file of program.getSourceFiles()) {
    const declares = ["config", "methods"].some((folder) =>
      file.fileName.startsWith(`${root}src/${folder}/`),
    );
    if (file.fileName.startsWith(`${root}src/`) && !declares) visit(file);
  }
  return read;
}

/** The `name: z…` lines of schema.ts, which the inferred type's properties point back to, by dotted path. */
function declarations(program: ts.Program, schema: string): Map<ts.Node, string> {
  const found = new Map<ts.Node, string>();
  const source = program.getSourceFile(schema);
  assert.ok(source, `${schema} is part of the program`);
  for (const statement of source.statements) {
    if (!ts.isVariableStatement(statement)) continue;
    for (const { name, initializer } of statement.declarationList.declarations) {
      const object = initializer && ts.isCallExpression(initializer) ? initializer.arguments[0] : undefined;
      if (!object || !ts.isObjectLiteralExpression(object) || !ts.isIdentifier(name)) continue;
      const prefix = name.text === "configSchema" ? "" : `${name.text}.`;
      for (const property of object.properties) {
        if (ts.isPropertyAssignment(property)) found.set(property, prefix + property.name.getText(source));
      }
    }
  }
  return found;
}

/** The `name: z…` lines of a method's file. An option that two methods share stands for both. */
function optionDeclarations(program: ts.Program, file: string): ts.PropertyAssignment[] {
  const found: ts.PropertyAssignment[] = [];
  const names = new Set(optionKeys().map(({ path }) => path.slice(path.lastIndexOf(".") + 1)));
  const visit = (node: ts.Node): void => {
    const isSchema =
      ts.isPropertyAssignment(node) &&
      /^z\s*\./.test(node.initializer.getText()) &&
      names.has(node.name.getText());
    if (isSchema) found.push(node);
    ts.forEachChild(node, visit);
  };
  visit(program.getSourceFile(file)!);
  return found;
}
