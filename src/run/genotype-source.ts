// The ways to name a genotype on a command line: published name, text, file, run folder, or standard input.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { UserError } from "../errors.ts";
import { isFolder, readText } from "../files.ts";
import type { Genotype } from "../genotype/genotype.ts";
import { parseGenotype } from "../genotype/parse.ts";
import { findGenotype } from "../genotype/published.ts";

/** The genotype that `source` names; `-` reads standard input. Throws a UserError that says what is wrong with it. */
export async function readGenotypeSource(source: string): Promise<Genotype> {
  if (source === "-") return parseGenotype(await readStandardInput());
  // A text is longer than a path may be: it is not looked for on the disk.
  if (/[([{|]/.test(source) && !existsSync(source)) return findGenotype(source);
  if (isFolder(source)) {
    await loadPluginsOf(source);
    return readGenotypeFile(genotypeIn(source), "the genotype of a run");
  }
  if (existsSync(source)) return readGenotypeFile(source);
  // A name has no slash and a text has a bracket: what is left was meant as a path.
  if (/^[^[({|]*\/[^[({|]*$/.test(source)) throw new UserError(`There is no file or folder ${source}.`);
  return findGenotype(source);
}

/** The genotype in a file; what is wrong with it is told with the file's name. */
export function readGenotypeFile(path: string, what = "a genotype"): Genotype {
  const text = readText(path, what);
  try {
    return parseGenotype(text);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const problem = error.message.replace(/\.$/, "");
    throw new UserError(`${path}: ${problem}. Mend it, or use a copy of it.`, { cause: error });
  }
}

function genotypeIn(folder: string): string {
  const path = join(folder, "genotype.json");
  if (existsSync(path)) return path;
  throw new UserError(
    `${path}: there is no such file. If ${folder} is a run that has searched, derive its cell: darts derive ${folder}`,
  );
}

/** The schema of configurations is loaded only for a run that names plugins. */
async function loadPluginsOf(folder: string): Promise<void> {
  const file = join(folder, "config.yaml");
  if (!existsSync(file) || !/^plugin:(?! *\[\])/m.test(readText(file, "a configuration"))) return;
  const [{ pluginsOf }, { loadPlugins }] = await Promise.all([
    import("../config/load.ts"),
    import("../plugin/load.ts"),
  ]);
  await loadPlugins(pluginsOf({ file }));
}

async function readStandardInput(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}
