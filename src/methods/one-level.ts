// One-level DARTS as data: what it computes is in src/search/darts.ts, as for darts with the same order of steps.
import { z } from "zod";
import type { MethodDeclaration } from "./declaration.ts";
import { publishedSettings, quickSettings } from "./shared-settings.ts";
import { softmaxOption } from "./softmax-option.ts";

const options = z.strictObject({ ...softmaxOption });

const reason =
  "its weights and alphas learn from the same images, which is what one-level means; the bilevel orders are those of darts";

/**
 * DARTS without the second level, the ablation of its paper: all images train weights and alphas. It is darts under
 * `search.order` joint or alternating, to the same bytes, by a name of its own.
 */
export const oneLevel = {
  name: "one-level",
  source: {
    paper: "Liu, Simonyan, Yang: DARTS: Differentiable Architecture Search, ICLR 2019",
    arxiv: "1806.09055",
    code: "github.com/quark0/darts",
  },
  options,
  orders: ["joint", "alternating"],
  refusals: { first: reason, second: reason },
  presets: {
    paper: {
      description:
        "one-level DARTS, both moved by one pass, as ablated for CIFAR-10 in the DARTS paper (GPU days)",
      settings: publishedSettings({
        search: { method: "one-level", order: "joint", learningRateMin: 0 },
      }),
      notes: [
        "The paper reports two one-level searches on training and validation images together: by simultaneous steps " +
          "(here; 3.56 % test error) and by steps in turn (search.order: alternating; 4.16 %). Bilevel: 2.76 %.",
        "The paper says no hyper-parameters of them, and the code has none of them: the settings are those of DARTS.",
      ],
    },
    quick: {
      description: "one-level DARTS in minutes on two CPU cores",
      settings: quickSettings({
        search: { method: "one-level", order: "joint" },
      }),
      notes: [
        "All images train both weights and alphas, so that an epoch has twice the steps of a bilevel one.",
      ],
    },
  },
} as const satisfies MethodDeclaration<typeof options>;
