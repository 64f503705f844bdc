// The reduction cell that GDAS-FRC fixes, so that only the normal cell is searched (Dong, Yang, CVPR 2019, section 3.3).
// As a genotype: each of the two inputs through a grouped convolution and through a max-pool, one operation a node.
import { allNodes, type Genotype } from "./genotype.ts";

/** The fixed cell, its nodes in the order in which its code concatenates them. */
export const FIXED_REDUCTION: Pick<Genotype, "reduce" | "reduceConcat"> = {
  reduce: [
    [["group_conv_3x1_1x3", 0]],
    [["group_conv_3x1_1x3", 1]],
    [["norm_max_pool_3x3", 0]],
    [["norm_max_pool_3x3", 1]],
  ],
  reduceConcat: allNodes(4),
};
