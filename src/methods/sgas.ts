// SGAS as data: what it computes is in src/search/sgas.ts.
import { z } from "zod";
import { UserError } from "../errors.ts";
import { EVERY_ORDER, type MethodDeclaration } from "./declaration.ts";
import { requireLast } from "./p-darts.ts";
import { publishedSettings, quickSettings } from "./shared-settings.ts";
import { refuseOtherCells } from "./two-edges.ts";

const options = z.strictObject({
  criterion: z
    .number()
    .int()
    .min(1)
    .max(2)
    .default(1)
    .describe("what an edge is decided by: 1, importance and certainty; 2, stability as well"),
  decideFromEpoch: z.number().int().min(0).default(9).describe("first epoch after which an edge is decided"),
  decideEvery: z.number().int().min(1).default(5).describe("epochs from one decision to the next"),
  batchGrowth: z.number().int().min(0).default(8).describe("images that a batch grows by at each decision"),
  history: z.number().int().min(1).default(4).describe("earlier epochs that stability looks back at"),
});

/** SGAS: an edge of each cell is decided every few epochs, and the supernet shrinks. */
export const sgas = {
  name: "sgas",
  source: {
    paper:
      "Li, Qian, Delgadillo, Müller, Thabet, Ghanem: SGAS: Sequential Greedy Architecture Search, CVPR 2020",
    arxiv: "1912.00195",
    code: "github.com/lightaime/sgas",
  },
  options,
  refusesSpace: refuseOtherCells,
  orders: EVERY_ORDER,
  presets: {
    paper: {
      description: "SGAS, criterion 1, as published for CIFAR-10 (GPU hours)",
      settings: publishedSettings({
        search: {
          method: "sgas",
          order: "first",
          options: { criterion: 1, decideFromEpoch: 9, decideEvery: 5, batchGrowth: 8, history: 4 },
        },
      }),
      notes: ["Criterion 2: search.options.criterion 2. An ablation of the paper decides every 7 epochs."],
    },
    quick: {
      description: "SGAS in minutes on two CPU cores",
      settings: quickSettings({
        search: {
          method: "sgas",
          order: "first",
          epochs: 10,
          options: { decideFromEpoch: 1, decideEvery: 1, batchGrowth: 4 },
        },
      }),
      notes: [],
    },
  },
  check({ search, space }, { decideFromEpoch, decideEvery }) {
    const needed = decideFromEpoch + decideEvery * (2 * space.nodes - 1) + 1;
    if (search.epochs < needed) {
      throw new UserError(
        `search.epochs is ${search.epochs}, but sgas decides the last of ${2 * space.nodes} edges after epoch ${needed}: ` +
          `expected at least that many. Set search.epochs to ${needed}, or search.options.decideFromEpoch and ` +
          "search.options.decideEvery lower.",
      );
    }
    requireLast("sgas", search, "its cell is whole after its last decision");
  },
} as const satisfies MethodDeclaration<typeof options>;
