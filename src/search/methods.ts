// The search methods, one row each.
import { nearest } from "../config/nearest.ts";
import { UserError } from "../errors.ts";
import { createDarts } from "./darts.ts";
import type { MethodEntry } from "./method.ts";

/** The search methods by the names that `search.method` takes. */
export const METHODS: Record<string, MethodEntry> = {
  darts: { paper: "Liu, Simonyan, Yang: DARTS, ICLR 2019 (arXiv:1806.09055)", create: createDarts },
};

/** Adds a row to the table; its name must be free. */
export function addMethod(name: string, entry: MethodEntry): void {
  METHODS[name] = entry;
}

/** The method called `name`; a {@link UserError} names the nearest there is. */
export function findMethod(name: string): MethodEntry {
  const entry = Object.hasOwn(METHODS, name) ? METHODS[name] : undefined;
  if (entry) return entry;
  const names = Object.keys(METHODS);
  const guess = nearest(name, names);
  throw new UserError(
    `Unknown search.method '${name}'${guess ? `; did you mean '${guess}'?` : ""} There is: ${names.join(", ")}.`,
  );
}
