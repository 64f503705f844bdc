// A genotype is plain data: the discrete architecture that a search derives (DARTS, section 2.4).
// States are numbered as published: 0 and 1 are the outputs of the two cells before, 2… are this cell's
// nodes, so node i is state i + 2 and may read the states 0…i+1.
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

/**
 * The index of node i's first edge in a fully connected cell, whose nodes own the edges [0,2), [2,5), [5,9),
 * [9,14), …; so it is also the number of edges of a cell with so many nodes.
 */
export function edgeOffset(node: number): number {
  return (node * (node + 3)) / 2;
}

/** The states of all nodes, [2, …, nodes + 1]: the concatenation of every published DARTS cell. */
export function allNodes(nodes: number): number[] {
  return Array.from({ length: nodes }, (_, node) => node + 2);
}

/** The edges of a derived cell by node, two for each, in the order of the list. */
export function edgesByNode(edges: readonly Edge[]): (readonly [Edge, Edge])[] {
  return Array.from({ length: edges.length / 2 }, (_, node) => [edges[2 * node]!, edges[2 * node + 1]!]);
}

/** Whether cell `index` of `cells` halves the size and doubles the channels: the cells at 1/3 and 2/3 do. */
export function isReduction(index: number, cells: number): boolean {
  return index === Math.floor(cells / 3) || index === Math.floor((2 * cells) / 3);
}
