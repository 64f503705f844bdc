// SNAS as data: what it computes is in src/search/snas.ts.
import { z } from "zod";
import { EVERY_ORDER, type MethodDeclaration } from "./declaration.ts";
import { publishedSettings, quickSettings } from "./shared-settings.ts";

const options = z.strictObject({
  temperature: z.number().gt(0).default(1).describe("temperature of the samples in the first epoch"),
  temperatureMin: z
    .number()
    .gt(0)
    .default(0.03)
    .describe("temperature that a straight line would reach after the last epoch"),
  resourceWeight: z
    .number()
    .min(0)
    .default(0)
    .describe("lambda: weight of the sampled cells' cost in the loss (0: accuracy alone)"),
  resourceKind: z
    .enum(["all", "parameters", "macs", "memory"])
    .default("all")
    .describe("what a cost counts: parameters, multiply-adds, numbers read and written, or all three"),
  resourceScale: z
    .enum(["log", "linear"])
    .default("log")
    .describe("whether an edge costs the logarithm of its figure or the figure itself"),
  resourceReduceWeight: z
    .number()
    .min(0)
    .default(1)
    .describe("weight of the reduction cells' cost beside that of the normal ones"),
  dropPath: z
    .number()
    .min(0)
    .lt(1)
    .default(0)
    .describe("probability that an edge's output is dropped for an image in the search"),
  keep: z
    .enum(["two-edges", "every-edge"])
    .default("two-edges")
    .describe(
      "edges of the derived cell: the two most certain ones of each node, or every one, none included",
    ),
});

/** SNAS: soft samples, one loss for weights and alphas, and a price on resources. */
export const snas = {
  name: "snas",
  source: {
    paper: "Xie, Zheng, Liu, Lin: SNAS: Stochastic Neural Architecture Search, ICLR 2019",
    arxiv: "1812.09926",
    code: "github.com/SNAS-Series/SNAS-Series",
  },
  options,
  refusesSpace: ({ keeps }, { keep }) =>
    keeps === "every-edge" && keep !== "every-edge"
      ? `search.options.keep is ${keep}, and there every edge is kept; set it to every-edge`
      : undefined,
  // One-level by design; the samples are differentiable, so the bilevel orders are defined as well.
  orders: ["joint", ...EVERY_ORDER.filter((order) => order !== "joint")],
  derives: ({ keep }) => ({ kept: keep === "every-edge" ? "every" : 2, none: true }),
  presets: {
    paper: {
      description: "SNAS with its resource price as published for CIFAR-10, one-level (GPU days)",
      settings: publishedSettings({
        search: {
          method: "snas",
          order: "joint",
          epochs: 150,
          archGradClip: 10,
          options: {
            temperature: 1,
            temperatureMin: 0.03,
            resourceWeight: 1.5e-3,
            resourceKind: "all",
            resourceScale: "log",
            resourceReduceWeight: 1,
            dropPath: 0.3,
            keep: "two-edges",
          },
        },
      }),
      notes: [
        "The code moves the alphas by Adam (here) on several GPUs, and by plain SGD of the same rate on one.",
        "Its README's command for 8 cells weighs resources by 1.5e-3 (here) or, in another version, by 1e-2; that for 20 " +
          "cells of 36 channels by 1.5e-3, with batches of 72 and drop-path of 0.2.",
        "The code can keep every edge of a cell (search.options.keep: every-edge); here each node keeps its two most " +
          "certain ones, as in the published genotypes.",
      ],
    },
    quick: {
      description: "SNAS in minutes on two CPU cores",
      settings: quickSettings({
        search: { method: "snas", order: "joint", archGradClip: 10 },
      }),
      notes: [
        "All images train both weights and alphas, so that an epoch has twice the steps of a bilevel one.",
      ],
    },
  },
} as const satisfies MethodDeclaration<typeof options>;
