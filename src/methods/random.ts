// Random search as data: what it computes is in src/search/random.ts.
import { z } from "zod";
import { UserError } from "../errors.ts";
import type { MethodDeclaration } from "./declaration.ts";
import { publishedSettings, quickSettings } from "./shared-settings.ts";

const options = z.strictObject({
  draws: z
    .number()
    .int()
    .min(1)
    .default(4)
    .describe("random cells that are drawn, each trained for an equal share of search.epochs"),
});

const oneLevel = "its cells are chosen by validation, and a one-level search keeps no images for one";

/** Random search: cells drawn uniformly, each trained for the same short time; the best by validation is taken. */
export const random = {
  name: "random",
  source: {
    paper: "Li, Talwalkar: Random Search and Reproducibility for Neural Architecture Search, UAI 2019",
    arxiv: "1902.07638",
    code: "github.com/liamcli/randomNAS_release",
  },
  options,
  orders: ["first"],
  refusals: {
    second: "it has no alphas, and so no gradient of them",
    joint: oneLevel,
    alternating: oneLevel,
  },
  select: "best-validation",
  presets: {
    paper: {
      description:
        "random search as in the DARTS paper: the best of 24 cells after 100 epochs each (GPU days)",
      settings: publishedSettings({
        search: {
          method: "random",
          order: "first",
          select: "best-validation",
          epochs: 2400,
          options: { draws: 24 },
        },
      }),
      notes: [
        "24 samples and 100 epochs each are those of the baseline in the DARTS paper (table 1), which says neither the " +
          "size of their networks nor their schedule; here they are as large as the supernet and learn by its schedule.",
        "Random search with shared weights, the other baseline of the cited paper, is not this: no weights are shared.",
        "Its network is that of the supernet with the drawn operations alone: no auxiliary head, no drop-path, and batch " +
          "norms without scale and shift.",
      ],
    },
    quick: {
      description: "random search in minutes on two CPU cores: the best of 4 cells after 4 epochs each",
      settings: quickSettings({
        // A step computes two operations for each node, at a fraction of the price of a supernet's.
        search: {
          method: "random",
          order: "first",
          select: "best-validation",
          epochs: 16,
          options: { draws: 4 },
        },
      }),
      notes: [],
    },
  },
  check({ search: { epochs }, guard }, { draws }) {
    if (epochs % draws !== 0) {
      throw new UserError(
        `search.epochs is ${epochs}, but search.options.draws is ${draws}: expected a multiple, so that every cell is ` +
          `trained for as long. Set search.epochs to ${Math.ceil(epochs / draws) * draws}.`,
      );
    }
    if (guard.eigenvalueEvery > 0) {
      throw new UserError(
        `guard.eigenvalueEvery is ${guard.eigenvalueEvery}, but random has no alphas that a Hessian could be taken in. ` +
          "Set it to 0.",
      );
    }
  },
} as const satisfies MethodDeclaration<typeof options>;
