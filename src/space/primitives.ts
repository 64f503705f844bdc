// The names of the candidate operations, in the published order (DARTS, ICLR 2019, and its code):
// the order is the column order of the alphas. `none` is a column of the softmax but never derived.

/** The eight primitives of the DARTS search space, in the order of the published alphas. */
export const DARTS_PRIMITIVES = [
  "none",
  "max_pool_3x3",
  "avg_pool_3x3",
  "skip_connect",
  "sep_conv_3x3",
  "sep_conv_5x5",
  "dil_conv_3x3",
  "dil_conv_5x5",
] as const;

/** Every candidate operation known here: the DARTS primitives and the two of the NASNet genotypes. */
export const PRIMITIVES = [...DARTS_PRIMITIVES, "sep_conv_7x7", "conv_7x1_1x7"] as const;

/** The published name of a candidate operation. */
export type Primitive = (typeof PRIMITIVES)[number];
