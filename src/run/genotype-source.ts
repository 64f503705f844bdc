// The ways to name a genotype on a command line: published name, text, file, run folder, or standard input.
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Genotype } from "../genotype/genotype.ts";
import { parseGenotype } from "../genotype/parse.ts";
import { findGenotype } from "../genotype/published.ts";
import { isFolder, readText } from "./files.ts";

/** The genotype that `source` names; `-` reads standard input. Throws a UserError that says what is wrong with it. */
export async function readGenotypeSource(source: string): Promise<Genotype> {
  if (source === "-") return parseGenotype(await readStandardInput());
  if (isFolder(source))
    return parseGenotype(readText(join(source, "genotype.json"), "the genotype of a run"));
  return existsSync(source) ? parseGenotype(readText(source, "a genotype")) : findGenotype(source);
}

async function readStandardInput(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}
