// I-DARTS as data: what it computes is in src/search/i-darts.ts.
import { z } from "zod";
import { DARTS_PRIMITIVES } from "../space/primitives.ts";
import { EVERY_ORDER, type MethodDeclaration } from "./declaration.ts";
import { publishedSettings, quickSettings } from "./shared-settings.ts";

const options = z.strictObject({
  pairs: z
    .number()
    .int()
    .min(1)
    .default(2)
    .describe("pairs of edge and operation that a node keeps; several may share an edge"),
});

/** Nothing is the absence of all pairs of an edge, and no operation beside them. */
const primitives = DARTS_PRIMITIVES.filter((name) => name !== "none");

/** I-DARTS: all pairs of edge and operation of a node compete in one softmax. */
export const iDarts = {
  name: "i-darts",
  source: {
    paper:
      "Jiang, Hu, Xiao, Zhang, Zhu: Improved Differentiable Architecture Search for Language Modeling and Named " +
      "Entity Recognition, EMNLP 2019",
  },
  options,
  orders: EVERY_ORDER,
  softmax: "node",
  derives: ({ pairs }) => ({ kept: pairs, shared: true }),
  presets: {
    paper: {
      description: "I-DARTS by the protocol of DARTS on CIFAR-10 (GPU days)",
      settings: publishedSettings({
        space: { primitives },
        search: {
          method: "i-darts",
          order: "second",
          learningRateMin: 0,
          options: { pairs: 2 },
        },
      }),
      notes: [
        "The paper searches recurrent cells for language models and named entities; it publishes no image cells and " +
          "no code. The settings are those of DARTS on CIFAR-10.",
        "How many pairs a node keeps and whether none competes could not be read in the paper. Here a node keeps two " +
          "pairs, as many as DARTS keeps edges, and none is left out of the space: a pair that is not kept is absent.",
      ],
    },
    quick: {
      description: "I-DARTS, first order, in minutes on two CPU cores",
      settings: quickSettings({
        space: { primitives },
        search: { method: "i-darts", order: "first" },
      }),
      notes: [],
    },
  },
} as const satisfies MethodDeclaration<typeof options>;
