// A search space of one's own: cells that read one cell, whose nodes read that and the node before them, and between two
// stages a convolution of stride 2 instead of a reduction cell.
//   darts run --preset quick --plugin examples/own-space.ts --space-name ladder
import { BatchNorm2d, Conv2d, defineSpace, ReLU, Sequential } from "darts-nas";

export const ladder = defineSpace({
  name: "ladder",
  paper: "examples/own-space.ts",
  primitives: ["none", "skip_connect", "sep_conv_3x3", "dil_conv_3x3", "avg_pool_3x3"],
  nodes: 3,
  // State 0 is what the cell reads, state n + 1 is node n; no candidates, no edge.
  edges: ({ node, source }) => {
    if (source === 0) return ["none", "skip_connect", "sep_conv_3x3"];
    return source === node ? ["none", "skip_connect", "dil_conv_3x3", "avg_pool_3x3"] : [];
  },
  skeleton: {
    inputs: 1,
    output: "all",
    stemMultiplier: 2,
    // Two stages: of six cells the fourth is the block.
    reductionsAt: (cells) => [Math.floor(cells / 2)],
    reduction: {
      create: (inChannels, outChannels) =>
        new Sequential(
          new ReLU(),
          new Conv2d(inChannels, outChannels, 3, { stride: 2, padding: 1 }),
          new BatchNorm2d(outChannels),
        ),
    },
    head: "norm-relu-pool",
  },
});
