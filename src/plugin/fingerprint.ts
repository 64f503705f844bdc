// What a plugin is made of, in checksums: its file, and those that it reaches by relative imports. Packages are not
// among them, nor what is imported by a path that is computed.
import { createHash } from "node:crypto";
import { dirname, relative, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { readBytes } from "../files.ts";

/** The checksums of a plugin's files. */
export interface PluginFingerprint {
  /** SHA-256 of the plugin's own file. */
  readonly file: string;
  /** SHA-256 of each file that it reaches, by its path from the plugin's folder; absent in records of earlier versions. */
  readonly imports?: Readonly<Record<string, string>> | undefined;
}

/** Reads a plugin's file and those that it imports; throws a {@link UserError} for one that cannot be read. */
export async function fingerprintOfPlugin(path: string): Promise<PluginFingerprint> {
  const bytes = readBytes(path, "a plugin");
  const imports: Record<string, string> = {};
  // Not loaded for a plugin that imports nothing but the library.
  const reached = specifiersIn(bytes).length > 0 ? await filesReachedFrom(path) : [];
  for (const file of reached.sort())
    imports[relative(dirname(path), file).replaceAll(sep, "/")] = sha256(
      readBytes(file, "a plugin's import"),
    );
  return { file: sha256(bytes), imports };
}

/** Which files of the plugin at `path` are not what they were, come new or are gone, as a reader is told of them. */
export async function changedSince(before: PluginFingerprint, path: string): Promise<string[]> {
  const now = await fingerprintOfPlugin(path);
  const changed = before.file === now.file ? [] : [`The plugin ${path}`];
  if (before.imports === undefined) return changed;
  const names = new Set([...Object.keys(before.imports), ...Object.keys(now.imports ?? {})]);
  for (const name of names)
    if (before.imports[name] !== now.imports?.[name])
      changed.push(`The file ${name}, which the plugin ${path} imports,`);
  return changed;
}

/** The files that `plugin` reaches by relative imports, itself not among them. */
async function filesReachedFrom(plugin: string): Promise<string[]> {
  const { createJiti } = await import("jiti");
  const jiti = createJiti(plugin, { fsCache: false });
  const reached = new Set([plugin]);
  for (const file of reached) {
    for (const specifier of specifiersIn(readBytes(file, "a plugin's import"))) {
      const found = jiti.esmResolve(specifier, { parentURL: pathToFileURL(file).href, try: true });
      // What is in a comment and not there is no import.
      if (found !== undefined) reached.add(found.startsWith("file:") ? fileURLToPath(found) : found);
    }
  }
  reached.delete(plugin);
  return [...reached];
}

/** The relative paths that a program imports, re-exports or requires; those in its comments do no harm. */
function specifiersIn(program: Uint8Array): string[] {
  const text = Buffer.from(program).toString("utf8");
  const imports = /(?:\bfrom|\bimport|\brequire)\s*\(?\s*(["'`])(\.{1,2}\/[^"'`$\n]+)\1/g;
  return [...text.matchAll(imports)].map((match) => match[2]!);
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
