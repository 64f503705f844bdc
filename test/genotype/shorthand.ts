// The shorthand of cells in tests: `s3,1 sk,0` is sep_conv_3x3 of state 1 and skip_connect of state 0.
import type { Edge } from "../../src/genotype/genotype.ts";
import type { Primitive } from "../../src/space/primitives.ts";

const NAMES: Readonly<Record<string, Primitive>> = {
  no: "none",
  mp: "max_pool_3x3",
  ap: "avg_pool_3x3",
  sk: "skip_connect",
  s3: "sep_conv_3x3",
  s5: "sep_conv_5x5",
  d3: "dil_conv_3x3",
  d5: "dil_conv_5x5",
  gc: "group_conv_3x1_1x3",
  np: "norm_max_pool_3x3",
};

/** The edges that a line of shorthand stands for; bars between nodes are for the reader. */
export function cell(shorthand: string): Edge[] {
  return shorthand.match(/\w+,\d/g)!.map((edge): Edge => [NAMES[edge.slice(0, 2)]!, Number(edge.slice(3))]);
}

/** The same for a cell whose nodes have other than two edges: bars separate the nodes. */
export function byNode(shorthand: string): Edge[][] {
  return shorthand.split("|").map(cell);
}
