// PC-DARTS as data: what it computes is in src/search/pc-darts.ts.
import { z } from "zod";
import { UserError } from "../errors.ts";
import { EVERY_ORDER, type MethodDeclaration } from "./declaration.ts";
import { publishedSettings, quickSettings } from "./shared-settings.ts";
import { softmaxOption } from "./softmax-option.ts";

const options = z.strictObject({
  partialChannels: z
    .number()
    .int()
    .min(1)
    .default(4)
    .describe("K: an edge's operations see the first 1/K of its channels"),
  edgeNormalization: z
    .boolean()
    .default(true)
    .describe("learn a weight for each edge (beta), a softmax over the edges of a node"),
  ...softmaxOption,
});

/** PC-DARTS: partial channels, a channel shuffle, and learned edge weights. */
export const pcDarts = {
  name: "pc-darts",
  source: {
    paper:
      "Xu, Xie, Zhang, Chen, Qi, Tian, Xiong: PC-DARTS: Partial Channel Connections for Memory-Efficient " +
      "Architecture Search, ICLR 2020",
    arxiv: "1907.05737",
    code: "github.com/yuhuixu1993/PC-DARTS",
  },
  options,
  orders: EVERY_ORDER,
  presets: {
    paper: {
      description: "PC-DARTS as published for CIFAR-10 (GPU days)",
      settings: publishedSettings({
        search: {
          method: "pc-darts",
          order: "first",
          batchSize: 256,
          learningRate: 0.1,
          learningRateMin: 0,
          archLearningRate: 6e-4,
          archFromEpoch: 15,
          options: { partialChannels: 4, edgeNormalization: true },
        },
        train: { dropPath: 0.3 },
      }),
      notes: [
        "Published searches on ImageNet take K = 2, batches of 1024 and alphas from epoch 35 on.",
        "The code's batches of the alphas are drawn anew at each step; here they run through the split in turn.",
      ],
    },
    quick: {
      description: "PC-DARTS in minutes on two CPU cores",
      settings: quickSettings({
        search: {
          method: "pc-darts",
          order: "first",
          archFromEpoch: 1,
          options: { partialChannels: 4 },
        },
      }),
      notes: ["The share of epochs in which only the weights move is near that of the paper (15 of 50)."],
    },
  },
  check({ search: { channels } }, { partialChannels, edgeNormalization, softmax }) {
    if (softmax === "node" && edgeNormalization) {
      throw new UserError(
        "search.options.softmax is node and search.options.edgeNormalization is true: both let the edges of a node " +
          "compete, and an edge would be weighed twice. Set search.options.edgeNormalization to false, or softmax to edge.",
      );
    }
    const part = channels / partialChannels;
    // The smallest width is that of the first cells; an edge of stride 2 halves its part in two convolutions.
    if (Number.isInteger(part) && (partialChannels === 1 || part % 2 === 0)) return;
    throw new UserError(
      `search.options.partialChannels is ${partialChannels}, but search.channels is ${channels}: their ratio is ` +
        `${part}, expected an even number, as the operations of a reduction halve their channels. ` +
        `Set search.channels to a multiple of ${2 * partialChannels}.`,
    );
  },
} as const satisfies MethodDeclaration<typeof options>;
