// A genotype is plain data: the discrete architecture that a search derives (DARTS, section 2.4).
import type { Primitive } from "../space/primitives.ts";

/** One kept edge: the operation and the state it reads (0, 1: the two cells before; 2…: this cell's nodes). */
export type Edge = readonly [op: Primitive, predecessor: number];

/** A pair of derived cells. */
export interface Genotype {
  /** Kept edges of the normal cell, two for each node in order, as published. */
  readonly normal: readonly Edge[];
  /** States concatenated to the normal cell's output. */
  readonly normalConcat: readonly number[];
  /** Kept edges of the reduction cell. */
  readonly reduce: readonly Edge[];
  /** States concatenated to the reduction cell's output. */
  readonly reduceConcat: readonly number[];
}
