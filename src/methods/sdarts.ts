// SmoothDARTS as data, in both forms: what they compute is in src/search/sdarts.ts.
import { z } from "zod";
import { DARTS_PRIMITIVES } from "../space/primitives.ts";
import type { MethodDeclaration, MethodPreset, Order } from "./declaration.ts";
import { publishedSettings, quickSettings } from "./shared-settings.ts";
import { softmaxOption } from "./softmax-option.ts";

const source = {
  paper:
    "Chen, Hsieh: Stabilizing Differentiable Architecture Search via Perturbation-based Regularization, ICML 2020",
  arxiv: "2002.05283",
  code: "github.com/xiangning-chen/SmoothDARTS",
};

const orders = ["first", "second", "alternating"] as const satisfies readonly Order[];

const refusals = {
  joint:
    "its weights are trained under perturbed probabilities and its alphas are not, so that no pass serves both",
};

const shared = {
  ...softmaxOption,
  epsilon: z
    .number()
    .min(0)
    .max(1)
    .default(0.3)
    .describe(
      "radius of the perturbation, in probability, that a straight line would reach after the last epoch",
    ),
  epsilonMin: z
    .number()
    .min(0)
    .max(1)
    .default(0.03)
    .describe("radius of the perturbation in the first epoch"),
};

/** The published settings, which both forms share; its space has no `none`. */
function paper(method: string, perturbation: string): MethodPreset {
  return {
    description: `SmoothDARTS with ${perturbation} as published for CIFAR-10 (GPU days)`,
    settings: publishedSettings({
      space: { primitives: DARTS_PRIMITIVES.filter((name) => name !== "none") },
      search: {
        method,
        order: "first",
        options: { epsilon: 0.3, epsilonMin: 0.03, ...(method === "sdarts-adv" && { attackSteps: 7 }) },
      },
    }),
    notes: ["Searches on NAS-Bench-201 and NAS-Bench-1Shot1 take 100 epochs."],
  };
}

function quick(method: string, perturbation: string, epochs: number): MethodPreset {
  return {
    description: `SmoothDARTS with ${perturbation} in minutes on two CPU cores`,
    settings: quickSettings({
      search: { method, order: "first", epochs },
    }),
    notes: [],
  };
}

const randomOptions = z.strictObject(shared);

/** SDARTS-RS: the weights are trained under random perturbations. */
export const sdartsRs = {
  name: "sdarts-rs",
  source,
  options: randomOptions,
  orders,
  refusals,
  presets: {
    paper: paper("sdarts-rs", "random perturbations"),
    quick: quick("sdarts-rs", "random perturbations", 4),
  },
} as const satisfies MethodDeclaration<typeof randomOptions>;

const adversarialOptions = z.strictObject({
  ...shared,
  attackSteps: z.number().int().min(1).default(7).describe("steps of the search for the worst perturbation"),
});

/** SDARTS-ADV: the weights are trained under the worst perturbation that a few steps find. */
export const sdartsAdv = {
  name: "sdarts-adv",
  source,
  options: adversarialOptions,
  orders,
  refusals,
  presets: {
    paper: paper("sdarts-adv", "adversarial perturbations"),
    // A step takes nine more passes.
    quick: quick("sdarts-adv", "adversarial perturbations", 2),
  },
} as const satisfies MethodDeclaration<typeof adversarialOptions>;
