// The option by which methods that mix edges by a softmax take I-DARTS' parametrisation of the alphas.
import { z } from "zod";

/** What competes in one softmax: the operations of an edge, or all pairs of edge and operation of a node. */
export const softmaxOption = {
  softmax: z
    .enum(["edge", "node"])
    .default("edge")
    .describe(
      "what competes in one softmax: an edge's operations, or all operations of a node's edges (I-DARTS)",
    ),
};

/** The values of {@link softmaxOption}. */
export type SoftmaxOver = z.infer<typeof softmaxOption.softmax>;
