// GDAS as data: what it computes is in src/search/gdas.ts.
import { z } from "zod";
import { UserError } from "../errors.ts";
import { FIXED_REDUCTION } from "../genotype/fixed-reduction.ts";
import type { MethodDeclaration } from "./declaration.ts";
import { BENCHMARK_NOTES, benchmarkSettings } from "./nas-bench-201.ts";
import { publishedSettings, quickSettings } from "./shared-settings.ts";

const options = z.strictObject({
  temperature: z.number().gt(0).default(10).describe("temperature of the samples in the first epoch"),
  temperatureMin: z
    .number()
    .gt(0)
    .default(0.1)
    .describe("temperature in the last epoch, reached in a straight line"),
  fixedReduction: z
    .boolean()
    .default(false)
    .describe("search the normal cell alone, beside the reduction cell that GDAS-FRC fixes"),
});

/** GDAS: one sampled operation on each edge, with a straight-through gradient. */
export const gdas = {
  name: "gdas",
  source: {
    paper: "Dong, Yang: Searching for A Robust Neural Architecture in Four GPU Hours, CVPR 2019",
    arxiv: "1910.04465",
    code: "github.com/D-X-Y/AutoDL-Projects",
  },
  options,
  refusesSpace: ({ skeleton }, { fixedReduction }) =>
    fixedReduction && (skeleton.inputs !== 2 || skeleton.reduction !== "cell")
      ? "search.options.fixedReduction fixes a reduction cell of two inputs, which it does not have; set it to false"
      : undefined,
  orders: ["first", "alternating"],
  derives: ({ fixedReduction }) => ({
    kept: 2,
    shared: true,
    ...(fixedReduction && { fixed: FIXED_REDUCTION }),
  }),
  refusals: {
    second:
      "its samples are one-hot, so the loss is piecewise constant in the alphas and has no second derivative that " +
      "the straight-through gradient could stand for",
    joint: "it draws one path for the weights and another for the alphas, so that no pass serves both",
  },
  presets: {
    paper: {
      description: "GDAS as published for CIFAR-10, both cells searched (GPU hours)",
      settings: publishedSettings({
        // The order is that of its code's "darts" space.
        space: {
          primitives: [
            "none",
            "skip_connect",
            "sep_conv_3x3",
            "sep_conv_5x5",
            "dil_conv_3x3",
            "dil_conv_5x5",
            "avg_pool_3x3",
            "max_pool_3x3",
          ],
        },
        search: {
          method: "gdas",
          order: "first",
          cells: 6,
          epochs: 250,
          batchSize: 256,
          nesterov: true,
          select: "best-validation",
          weightDecay: 5e-4,
          options: { temperature: 10, temperatureMin: 0.1, fixedReduction: false },
        },
        train: { epochs: 300, warmup: 5, weightDecay: 5e-4 },
      }),
      notes: [
        "The code's supernet of this space has no batch norm after pooling and one more before the classifier; here " +
          "it is DARTS' supernet, of as many cells.",
        "The code clips the gradient's norm over weights and alphas together; here over the weights alone.",
        "The code's evaluation warms its learning rate up in 5 further epochs; here in the first 5 of the 300.",
        "The published figure of 2.5M parameters belongs to the variant with a fixed reduction cell: " +
          "search.options.fixedReduction. In its search the code's convolutions have biases, which the batch norms " +
          "behind them take away again but for one; here none has.",
      ],
    },
    quick: {
      description: "GDAS in minutes on two CPU cores",
      settings: quickSettings({
        // A step trains one operation of each edge, at a fraction of the price: there is time for more of them.
        search: { method: "gdas", order: "first", epochs: 12 },
      }),
      notes: [],
    },
    variants: {
      "nas-bench-201": {
        description: "GDAS in NAS-Bench-201's space, as that benchmark ran it (GPU hours)",
        settings: benchmarkSettings({
          method: "gdas",
          order: "first",
          epochs: 250,
          select: "best-validation",
          options: { temperature: 10, temperatureMin: 0.1, fixedReduction: false },
        }),
        notes: [...BENCHMARK_NOTES, "The first version of the benchmark's code searched for 240 epochs."],
      },
    },
  },
  check({ search, train }, { fixedReduction }) {
    if (!fixedReduction) return;
    for (const [key, { channels }] of Object.entries({ search, train })) {
      if (channels % 4 === 0) continue;
      throw new UserError(
        `search.options.fixedReduction is true, but ${key}.channels is ${channels}, expected a multiple of 4: the ` +
          "fixed reduction cell convolves twice as many channels in 8 groups.",
      );
    }
  },
} as const satisfies MethodDeclaration<typeof options>;
