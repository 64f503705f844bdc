// From the name of a method to the method at work.
//
// A method is two files and a row for each. What it says about itself (name, source, options, orders, presets) is
// data in src/methods, which the configuration and the command line read without libtorch; what it computes is a file
// here, behind the interface of method.ts. The row below joins the two, and TypeScript checks that the options which
// the one declares are those which the other reads. So an option is typed once: flags, defaults, checks and help come
// from its schema, an option of another method is an error, and one that no code reads fails a test.
// A method owns its alphas, and nothing else that learns: weights, both optimizers, batches and the order of saving
// are the search's. Randomness comes from the stream in its context, which the search saves, and which second-order
// passes rewind; so a method that draws needs no state of its own. Temperatures and radii are functions of the epoch,
// for the same reason.
import type { z } from "zod";
import { UserError } from "../errors.ts";
import { darts } from "../methods/darts.ts";
import type { MethodDeclaration } from "../methods/declaration.ts";
import { gdas } from "../methods/gdas.ts";
import { iDarts } from "../methods/i-darts.ts";
import { oneLevel } from "../methods/one-level.ts";
import { pDarts } from "../methods/p-darts.ts";
import { pcDarts } from "../methods/pc-darts.ts";
import { rDarts } from "../methods/r-darts.ts";
import { random } from "../methods/random.ts";
import { sdartsAdv, sdartsRs } from "../methods/sdarts.ts";
import { sgas } from "../methods/sgas.ts";
import { snas } from "../methods/snas.ts";
import { declareMethod, findMethod } from "../methods/table.ts";
import { createDarts } from "./darts.ts";
import { createGdas } from "./gdas.ts";
import { createIDarts } from "./i-darts.ts";
import type { MethodContext, SearchMethod } from "./method.ts";
import { createPDarts } from "./p-darts.ts";
import { createPcDarts } from "./pc-darts.ts";
import { createRDarts } from "./r-darts.ts";
import { createRandom } from "./random.ts";
import { createSdartsAdv, createSdartsRs } from "./sdarts.ts";
import { createSgas } from "./sgas.ts";
import { createSnas } from "./snas.ts";

type Create<Options> = (context: MethodContext, options: Options) => SearchMethod;

const factories = new Map<string, Create<unknown>>([
  row(darts, createDarts),
  row(oneLevel, createDarts),
  row(iDarts, createIDarts),
  row(pcDarts, createPcDarts),
  row(pDarts, createPDarts),
  row(gdas, createGdas),
  row(snas, createSnas),
  row(sgas, createSgas),
  row(sdartsRs, createSdartsRs),
  row(sdartsAdv, createSdartsAdv),
  row(rDarts, createRDarts),
  row(random, createRandom),
]);

/** The method called `name` at work with its options; throws a {@link UserError} for one that does not exist. */
export function createMethod(
  name: string,
  options: Readonly<Record<string, unknown>>,
  context: MethodContext,
): SearchMethod {
  const declaration = findMethod(name);
  const create = factories.get(name);
  if (!create) throw new UserError(`The search method ${name} is declared, but nothing computes it.`);
  return create(context, declaration.options.parse(options));
}

/** Adds a method of the user's own; configurations that are read from now on can name it and its options. */
export function registerMethod<Options extends z.ZodObject>(
  declaration: MethodDeclaration<Options>,
  create: Create<z.infer<Options>>,
): void {
  declareMethod(declaration as unknown as MethodDeclaration);
  factories.set(...row(declaration, create));
}

function row<Options extends z.ZodObject>(
  { name }: Pick<MethodDeclaration<Options>, "name" | "options">,
  create: Create<z.infer<Options>>,
): [string, Create<unknown>] {
  return [name, create as Create<unknown>];
}
