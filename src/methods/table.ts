// The search methods that a configuration can name: the built-in ones, one row each, and those added at run time.

import { nearest } from "../config/nearest.ts";
import type { Preset } from "../config/presets.ts";
import type { Config } from "../config/schema.ts";
import { UserError } from "../errors.ts";
import { darts } from "./darts.ts";
import type { DerivedCells, MethodDeclaration } from "./declaration.ts";
import { gdas } from "./gdas.ts";
import { iDarts } from "./i-darts.ts";
import { oneLevel } from "./one-level.ts";
import { pDarts } from "./p-darts.ts";
import { pcDarts } from "./pc-darts.ts";
import { rDarts } from "./r-darts.ts";
import { random } from "./random.ts";
import { sdartsAdv, sdartsRs } from "./sdarts.ts";
import { sgas } from "./sgas.ts";
import { snas } from "./snas.ts";
import type { SoftmaxOver } from "./softmax-option.ts";

const methods = new Map<string, MethodDeclaration>(
  [darts, oneLevel, iDarts, pcDarts, pDarts, gdas, snas, sgas, sdartsRs, sdartsAdv, rDarts, random].map(
    (method) => [method.name, method as MethodDeclaration],
  ),
);

/** Every method, in the order of the table. */
export function declaredMethods(): readonly MethodDeclaration[] {
  return [...methods.values()];
}

/** Adds a method; throws when its name is taken. From now on configurations can name it and its options. */
export function declareMethod(method: MethodDeclaration): void {
  if (methods.has(method.name)) {
    throw new UserError(`There is already a search method ${method.name}; give the new one another name.`);
  }
  methods.set(method.name, method);
}

/** The method called `name`; a {@link UserError} names the nearest there is. */
export function findMethod(name: string): MethodDeclaration {
  const method = methods.get(name);
  if (method) return method;
  const names = [...methods.keys()];
  const guess = nearest(name, names);
  throw new UserError(
    `Unknown search.method '${name}'${guess ? `; did you mean '${guess}'?` : ""} There is: ${names.join(", ")}.`,
  );
}

/** What cells the method of a configuration derives. */
export function derivedCells({
  method,
  options,
}: Pick<Config["search"], "method" | "options">): DerivedCells {
  const declaration = findMethod(method);
  return declaration.derives?.(declaration.options.parse(options)) ?? { kept: 2 };
}

/** What competes in one softmax of a configuration's method: the operations of an edge, or those of a node's edges. */
export function softmaxOver({ method, options }: Pick<Config["search"], "method" | "options">): SoftmaxOver {
  return findMethod(method).softmax ?? (options["softmax"] as SoftmaxOver | undefined) ?? "edge";
}

/** The presets of every method: `<method>`, the published settings, `<method>-quick`, and their variants. */
export function methodPresets(): Readonly<Record<string, Preset>> {
  const presets = declaredMethods().flatMap(({ name, source, presets }) =>
    presets
      ? [
          { ...presets.paper, name, source, sources: {} },
          { ...presets.quick, name: `${name}-quick`, source, sources: {} },
          ...Object.entries(presets.variants ?? {}).map(([word, variant]) => ({
            ...variant,
            name: `${name}-${word}`,
            source,
            sources: {},
          })),
        ]
      : [],
  );
  return Object.fromEntries(presets.map((preset) => [preset.name, preset]));
}
