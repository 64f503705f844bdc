// R-DARTS as data: what it computes is in src/search/r-darts.ts.
import { z } from "zod";
import type { Config, ConfigInput } from "../config/schema.ts";
import { UserError } from "../errors.ts";
import type { MethodDeclaration } from "./declaration.ts";
import { publishedSettings, quickSettings } from "./shared-settings.ts";

/** The defaults of the released code's arguments. */
const WEIGHT_DECAY_FACTOR = 3;
const WEIGHT_DECAY_MAX = 0.0243;

const options = z.strictObject({
  earlyStop: z
    .boolean()
    .default(true)
    .describe("end the search when the eigenvalue's local average has grown; false: only measure it"),
  adapt: z
    .boolean()
    .default(false)
    .describe("instead of ending, go back to before it grew, raise the weights' L2 penalty and search on"),
  weightDecayFactor: z
    .number()
    .gt(1)
    .default(WEIGHT_DECAY_FACTOR)
    .describe("by how much adapt multiplies the L2 penalty"),
  weightDecayMax: z
    .number()
    .gt(0)
    .default(WEIGHT_DECAY_MAX)
    .describe("up to which L2 penalty adapt raises it; from then on the search goes on to its end"),
  eigenvalueEvery: z.number().int().min(1).default(2).describe("epochs from one measurement to the next"),
  window: z.number().int().min(1).default(5).describe("measurements in a local average"),
  delta: z.number().int().min(1).default(4).describe("measurements between two averages that are compared"),
  factor: z.number().gt(1).default(1.3).describe("growth of the average that ends the search"),
  startEpoch: z.number().int().min(0).default(10).describe("first epoch that the search may go back to"),
  dropPath: z
    .number()
    .min(0)
    .lt(1)
    .default(0)
    .describe(
      "probability, reached in the last epoch, that an edge's output is dropped for an image in the search",
    ),
});

/** Its settings, but for what a variant says of the search. */
function published(search: ConfigInput["search"]): ConfigInput {
  return publishedSettings({
    search: { method: "r-darts", order: "second", ...search },
    train: { channels: 16, cells: 8 },
  });
}

/** R-DARTS: DARTS that ends when the validation loss gets sharp in the alphas, or is kept flat by regularisation. */
export const rDarts = {
  name: "r-darts",
  source: {
    paper:
      "Zela, Elsken, Saikia, Marrakchi, Brox, Hutter: Understanding and Robustifying Differentiable Architecture " +
      "Search, ICLR 2020",
    arxiv: "1909.09656",
    code: "github.com/automl/RobustDARTS",
  },
  options,
  orders: ["second", "first"],
  refusals: {
    joint: "it watches the validation loss, and a one-level search keeps no images for one",
    alternating: "it watches the validation loss, and a one-level search keeps no images for one",
  },
  select: "guard",
  endsEarly: ({ earlyStop }) => earlyStop,
  presets: {
    paper: {
      description: "RobustDARTS with early stopping as published for CIFAR-10 (GPU days)",
      settings: published({
        select: "guard",
        options: {
          earlyStop: true,
          eigenvalueEvery: 2,
          window: 5,
          delta: 4,
          factor: 1.3,
          startEpoch: 10,
          dropPath: 0,
        },
      }),
      notes: [
        "The spaces in which the paper shows DARTS to fail are space.name s1, s2, s3 and s4.",
        "The code trains networks of 16 channels and 8 cells (here); figures beside other methods' are of DARTS' size: " +
          "train.channels 36, train.cells 20.",
        "The code measures on the last batch of the validation and builds the whole Hessian; here on the same images in " +
          "every epoch, by power iteration.",
      ],
    },
    quick: {
      description: "RobustDARTS with early stopping in minutes on two CPU cores",
      settings: quickSettings({
        search: {
          method: "r-darts",
          order: "first",
          select: "guard",
          // The eigenvalue is of second derivatives, through libtorch's operators: a supernet of 16 channels takes 7 GB.
          channels: 8,
          batchSize: 16,
          epochs: 8,
          options: { eigenvalueEvery: 1, window: 3, delta: 2, startEpoch: 1 },
        },
      }),
      notes: ["Measured in every epoch and averaged over fewer of them, as there are few."],
    },
    variants: {
      l2: {
        description: "R-DARTS(L2): no early end, a strong L2 penalty on the weights in the search (GPU days)",
        settings: published({ select: "last", weightDecay: 2.7e-3, options: { earlyStop: false } }),
        notes: [
          "The paper searches with 3e-4, 9e-4, 2.7e-3 and 8.1e-3 (and 2.43e-2) and keeps the best by validation: set " +
            "search.weightDecay for each.",
        ],
      },
      ada: {
        description:
          "DARTS-ADA: goes back when the eigenvalue grows, and on with a stronger L2 penalty (GPU days)",
        settings: published({
          select: "last",
          options: { earlyStop: true, adapt: true, weightDecayFactor: 10, weightDecayMax: 0.03 },
        }),
        notes: [
          "The factor 10 and the maximum 0.03 are those of the code's script for it; its arguments' defaults are 3 and 0.0243.",
          "The search goes back to the weights, alphas and both optimizers of the epoch to which the early stop would have " +
            "gone, and with it the learning rate's schedule; the images come in a new order, as in the code.",
          "The code means to put the measurements back as well, but goes on with those of after that epoch; here they " +
            "are put back.",
        ],
      },
      dp: {
        description: "R-DARTS(DP): no early end, drop-path in the supernet (GPU days)",
        settings: published({ select: "last", options: { earlyStop: false, dropPath: 0.4 } }),
        notes: [
          "The paper searches with 0, 0.2, 0.4 and 0.6 and keeps the best by validation: set search.options.dropPath for each.",
          "The code raises the probability of Cutout alike; here search.cutout is on or off.",
        ],
      },
    },
  },
  check: (config, adaptation) => checkAdaptation(config.search, adaptation),
} as const satisfies MethodDeclaration<typeof options>;

type Adaptation = Pick<
  z.infer<typeof options>,
  "earlyStop" | "adapt" | "weightDecayFactor" | "weightDecayMax"
>;

/** Throws where what adapts would have no effect, or no penalty to raise. */
function checkAdaptation(
  { weightDecay, select }: Config["search"],
  { earlyStop, adapt, weightDecayFactor, weightDecayMax }: Adaptation,
): void {
  const refuse = (got: string, why: string) => {
    throw new UserError(`${got}, but ${why}.`);
  };
  if (!adapt) {
    if (weightDecayFactor !== WEIGHT_DECAY_FACTOR || weightDecayMax !== WEIGHT_DECAY_MAX)
      refuse(
        weightDecayFactor !== WEIGHT_DECAY_FACTOR
          ? `search.options.weightDecayFactor is ${weightDecayFactor}`
          : `search.options.weightDecayMax is ${weightDecayMax}`,
        "search.options.adapt is false, so that nothing raises the penalty. Set search.options.adapt to true, or leave it out",
      );
    return;
  }
  if (!earlyStop)
    refuse(
      "search.options.adapt is true",
      "search.options.earlyStop is false, whose rule it acts on. Set search.options.earlyStop to true",
    );
  if (weightDecay === 0 || weightDecay >= weightDecayMax)
    refuse(
      `search.weightDecay is ${weightDecay}`,
      `search.options.adapt raises it up to ${weightDecayMax} by a factor. Set it above 0 and below search.options.weightDecayMax`,
    );
  if (select === "guard")
    refuse(
      "search.select is guard",
      "search.options.adapt goes on from the epoch that the rule goes back to. Set search.select to last or best-validation",
    );
}
