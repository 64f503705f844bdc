// What differs between two genotypes, edge by edge.
import { type CellEdges, edgesByNode, type Genotype } from "./genotype.ts";

/** The operations from one state to one node, where the two cells do not agree: none is an empty list. */
export interface EdgeDifference {
  readonly cell: "normal" | "reduce";
  /** From 0. */
  readonly node: number;
  /** State that the edges read: 0 and 1 are the outputs of the two cells before (0 where one is read), then the nodes. */
  readonly predecessor: number;
  readonly a: readonly string[];
  readonly b: readonly string[];
}

/** A cell's concatenation, where it differs. */
export interface ConcatDifference {
  readonly cell: "normal" | "reduce";
  readonly a: readonly number[];
  readonly b: readonly number[];
}

/** The edges on which `a` and `b` differ; the order of a node's edges means nothing. */
export function diffEdges(a: Genotype, b: Genotype): EdgeDifference[] {
  return (["normal", "reduce"] as const).flatMap((cell) => {
    const [ours, theirs] = [operations(a[cell]), operations(b[cell])];
    const keys = [...new Set([...ours.keys(), ...theirs.keys()])].sort((p, q) => p - q);
    return keys.flatMap((key) => {
      const [one, other] = [ours.get(key) ?? [], theirs.get(key) ?? []];
      if (one.join() === other.join()) return [];
      return [{ cell, node: Math.floor(key / STATES), predecessor: key % STATES, a: one, b: other }];
    });
  });
}

/** The concatenations on which `a` and `b` differ. */
export function diffConcats(a: Genotype, b: Genotype): ConcatDifference[] {
  return (["normal", "reduce"] as const).flatMap((cell) => {
    const [one, other] = [a[`${cell}Concat`], b[`${cell}Concat`]];
    return one.join() === other.join() ? [] : [{ cell, a: one, b: other }];
  });
}

/** More states than any cell has. */
const STATES = 1000;

/** The operations of a cell by node and predecessor, in alphabetical order. */
function operations(cell: CellEdges): Map<number, string[]> {
  const found = new Map<number, string[]>();
  for (const [node, edges] of edgesByNode(cell).entries()) {
    for (const [operation, predecessor] of edges) {
      const key = node * STATES + predecessor;
      found.set(key, [...(found.get(key) ?? []), operation].sort());
    }
  }
  return found;
}
