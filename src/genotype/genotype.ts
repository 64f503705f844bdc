// A genotype is plain data: the discrete architecture that a search derives (DARTS, section 2.4).
// States are numbered as published: 0 and 1 are the outputs of the two cells before, 2… are this cell's
// nodes, so node i is state i + 2 and may read the states 0…i+1. In a space whose cells read one cell (NAS-Bench-201)
// that is state 0, and node i is state i + 1.
import type { Primitive } from "../space/primitives.ts";

/** One kept edge: the operation and the state it reads (0, 1: the two cells before; 2…: this cell's nodes). */
export type Edge = readonly [op: Primitive, predecessor: number];

/**
 * Kept edges of a cell. Where every node has two they are one list, node by node, as published; else there is a list
 * for each node (I-DARTS, SNAS, the fixed reduction of GDAS). A node has at least one edge, and may have several from
 * the same state. Read it by {@link edgesByNode} or {@link edgesOfCell}, make it by {@link cellOf}.
 */
export type CellEdges = readonly Edge[] | readonly (readonly Edge[])[];

/** A pair of derived cells; where a space has one kind of cell, that is the normal one, and the other is empty. */
export interface Genotype {
  /** Name of the space whose network it is for; absent: cells and network of DARTS. */
  readonly space?: string;
  /** Kept edges of the normal cell. */
  readonly normal: CellEdges;
  /** States concatenated to the normal cell's output. */
  readonly normalConcat: readonly number[];
  /** Kept edges of the reduction cell. */
  readonly reduce: CellEdges;
  /** States concatenated to the reduction cell's output. */
  readonly reduceConcat: readonly number[];
}

/** States of a cell that are no nodes of its own: as many as it reads cells. */
export type Inputs = 1 | 2;

/**
 * The index of node i's first edge in a fully connected cell, whose nodes own the edges [0,2), [2,5), [5,9),
 * [9,14), … ([0,1), [1,3), [3,6), … with one input); so it is also the number of edges of a cell with so many nodes.
 */
export function edgeOffset(node: number, inputs: Inputs = 2): number {
  return (node * (node - 1 + 2 * inputs)) / 2;
}

/** The states of all nodes, [2, …, nodes + 1]: the concatenation of every published DARTS cell. */
export function allNodes(nodes: number, inputs: Inputs = 2): number[] {
  return Array.from({ length: nodes }, (_, node) => node + inputs);
}

/** The edges of a cell in their published order, each with the state it starts from and the node's it ends in. */
export function edgesOf(
  nodes: number,
  inputs: Inputs = 2,
): { readonly edge: number; readonly source: number; readonly target: number }[] {
  return allNodes(nodes, inputs).flatMap((target, node) =>
    Array.from({ length: target }, (_, source) => ({
      edge: edgeOffset(node, inputs) + source,
      source,
      target,
    })),
  );
}

/** Whether the edges of a cell are a list for each node, and not the published list of two for each. */
export function isByNode(cell: CellEdges): cell is readonly (readonly Edge[])[] {
  return Array.isArray(cell[0]?.[0]);
}

/** The edges of a derived cell by node, in the order of the list. */
export function edgesByNode(cell: CellEdges): (readonly Edge[])[] {
  if (isByNode(cell)) return [...cell];
  return Array.from({ length: cell.length / 2 }, (_, node) => [cell[2 * node]!, cell[2 * node + 1]!]);
}

/** All edges of a derived cell, node by node. */
export function edgesOfCell(cell: CellEdges): readonly Edge[] {
  return edgesByNode(cell).flat();
}

/** The number of nodes of a derived cell. */
export function nodesOfCell(cell: CellEdges): number {
  return isByNode(cell) ? cell.length : cell.length / 2;
}

/** A cell of the nodes' edges in its one form: the published list where every node has two. */
export function cellOf(nodes: readonly (readonly Edge[])[]): CellEdges {
  return nodes.every((edges) => edges.length === 2) ? nodes.flat() : nodes;
}

/**
 * How many edges a method keeps for each node: so many pairs of predecessor and operation (fewer where a node has not
 * as many), or one operation of every predecessor.
 */
export type KeptEdges = number | "every";

/** What is kept of a node. */
export interface Keeping {
  readonly kept: KeptEdges;
  /** Whether a node may keep several operations of one edge; absent: no. */
  readonly shared?: boolean | undefined;
}

/** How many edges one node keeps, by the operations that each edge into it could keep. */
export function keptBy({ kept, shared = false }: Keeping, open: readonly (readonly unknown[])[]): number {
  const edges = open.filter((own) => own.length > 0).length;
  return kept === "every" ? edges : Math.min(kept, shared ? open.flat().length : edges);
}

/** The places at 1/3 and 2/3 of so many cells, which halve the size and double the channels. */
export function thirds(cells: number): number[] {
  return [Math.floor(cells / 3), Math.floor((2 * cells) / 3)];
}

/** Whether cell `index` of `cells` is one of the {@link thirds}. */
export function isReduction(index: number, cells: number): boolean {
  return thirds(cells).includes(index);
}
