// The search space of NAS-Bench-201 (Dong, Yang, ICLR 2020, arXiv:2001.00326): a cell of four states, the input and
// three nodes, each of which reads every state before it by one of five operations; the last node is the output. Stages
// of equal cells, between which a residual block halves the size. With 17 places and 16 channels it is the benchmark's
// network: five cells, a block, five cells, a block, five cells.
import type { SpaceDeclaration } from "./declare-space.ts";

/** The space as data. */
export const NAS_BENCH_201: SpaceDeclaration = {
  name: "nas-bench-201",
  paper:
    "Dong, Yang: NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search, ICLR 2020",
  primitives: ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"],
  nodes: 3,
  keeps: "every-edge",
  poolNorm: false,
  skeleton: {
    inputs: 1,
    preprocess: false,
    output: "last",
    reduction: "residual",
    stemMultiplier: 1,
    head: "norm-relu-pool",
  },
  evaluation: { channels: 16, cells: 17 },
};
