// P-DARTS as data: what it computes is in src/search/p-darts.ts.
import { z } from "zod";
import type { Config } from "../config/schema.ts";
import { UserError } from "../errors.ts";
import { EVERY_ORDER, type MethodDeclaration } from "./declaration.ts";
import { publishedSettings, quickSettings } from "./shared-settings.ts";
import { refuseOtherCells } from "./two-edges.ts";

const options = z.strictObject({
  addCells: z
    .array(z.number().int().min(0))
    .min(1)
    .default([0, 6, 12])
    .describe("cells that each stage's supernet has beyond search.cells"),
  addChannels: z
    .array(z.number().int().min(0))
    .min(1)
    .default([0, 0, 0])
    .describe("channels that each stage's supernet has beyond search.channels"),
  dropOperations: z
    .array(z.number().int().min(0))
    .min(1)
    .default([0, 3, 2])
    .describe("operations that each edge loses before each stage, the least probable first"),
  skipDropout: z
    .array(z.number().min(0).lt(1))
    .min(1)
    .default([0.1, 0.4, 0.7])
    .describe("dropout after skip connections at the beginning of each stage"),
  maxSkips: z.number().int().min(0).default(2).describe("most skip connections of the derived normal cell"),
});

/** P-DARTS: three searches one after the other, each deeper and of fewer operations. */
export const pDarts = {
  name: "p-darts",
  source: {
    paper:
      "Chen, Xie, Wu, Tian: Progressive Differentiable Architecture Search: Bridging the Depth Gap between Search and " +
      "Evaluation, ICCV 2019",
    arxiv: "1904.12760",
    code: "github.com/chenxin061/pdarts",
  },
  options,
  refusesSpace: refuseOtherCells,
  orders: EVERY_ORDER,
  presets: {
    paper: {
      description: "P-DARTS as published for CIFAR-10: three stages of 25 epochs (GPU hours)",
      settings: publishedSettings({
        search: {
          method: "p-darts",
          order: "first",
          cells: 5,
          epochs: 75,
          batchSize: 96,
          learningRateMin: 0,
          archLearningRate: 6e-4,
          archGradClip: 5,
          archFromEpoch: 10,
          options: {
            addCells: [0, 6, 12],
            addChannels: [0, 0, 0],
            dropOperations: [0, 3, 2],
            skipDropout: [0.1, 0.4, 0.7],
            maxSkips: 2,
          },
        },
        train: { batchSize: 128, dropPath: 0.3 },
      }),
      notes: [
        "search.epochs is the sum of the stages, and search.archFromEpoch counts within each.",
        "The paper begins the dropout of the first stage at 0, the code's published command at 0.1 (here).",
      ],
    },
    quick: {
      description: "P-DARTS in minutes on two CPU cores",
      settings: quickSettings({
        search: {
          method: "p-darts",
          order: "first",
          cells: 3,
          epochs: 6,
          archFromEpoch: 1,
          options: { addCells: [0, 2, 4] },
        },
      }),
      notes: [],
    },
  },
  check({ search, space }, { addCells, addChannels, dropOperations, skipDropout }) {
    const lists = { addCells, addChannels, dropOperations, skipDropout };
    for (const [name, list] of Object.entries(lists)) {
      if (list.length === addCells.length) continue;
      throw new UserError(
        `search.options.${name} has ${list.length} numbers, but search.options.addCells has ${addCells.length}: ` +
          "expected one for each stage in both.",
      );
    }
    const stages = addCells.length;
    if (search.epochs < stages) {
      throw new UserError(
        `search.epochs is ${search.epochs}, expected at least one for each of ${stages} stages. ` +
          "Set more epochs, or shorter lists in search.options.",
      );
    }
    const dropped = dropOperations.reduce((sum, count) => sum + count, 0);
    const most = space.primitives.length - (space.primitives.includes("none") ? 2 : 1);
    if (space.name === "s1" ? dropped > 1 : dropped > most) {
      throw new UserError(
        `search.options.dropOperations takes ${dropped} operations from each edge, but no more than ` +
          `${space.name === "s1" ? 1 : most} can go: one that is not none must be left.`,
      );
    }
    requireLast("p-darts", search, "its cell is that of its last stage");
  },
} as const satisfies MethodDeclaration<typeof options>;

/** Throws where another epoch than the last is asked for of a method whose cell is not there before. */
export function requireLast(method: string, { select }: Pick<Config["search"], "select">, why: string): void {
  if (select === "last") return;
  throw new UserError(`search.select is ${select}, which ${method} does not take: ${why}. Set it to last.`);
}
