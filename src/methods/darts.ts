// DARTS as data: what it computes is in src/search/darts.ts.
import { z } from "zod";
import { EVERY_ORDER, type MethodDeclaration } from "./declaration.ts";
import { BENCHMARK_NOTES, benchmarkSettings } from "./nas-bench-201.ts";
import { publishedSettings, quickSettings } from "./shared-settings.ts";
import { softmaxOption } from "./softmax-option.ts";

const options = z.strictObject({ ...softmaxOption });

/** DARTS: a softmax over the operations of each edge. */
export const darts = {
  name: "darts",
  source: {
    paper: "Liu, Simonyan, Yang: DARTS: Differentiable Architecture Search, ICLR 2019",
    arxiv: "1806.09055",
    code: "github.com/quark0/darts",
  },
  options,
  orders: EVERY_ORDER,
  presets: {
    paper: {
      description: "DARTS, second order, as published for CIFAR-10 (GPU days)",
      settings: publishedSettings({
        search: { method: "darts", order: "second", learningRateMin: 0 },
      }),
      notes: ["The paper anneals the weights' learning rate in the search to 0 (here), the code to 0.001."],
    },
    quick: {
      description: "DARTS, first order, in minutes on two CPU cores",
      settings: quickSettings({
        search: { method: "darts", order: "first" },
      }),
      notes: [],
    },
    variants: {
      "nas-bench-201": {
        description: "DARTS, first order, in NAS-Bench-201's space, as that benchmark ran it (GPU hours)",
        settings: benchmarkSettings({ method: "darts", order: "first" }),
        notes: [...BENCHMARK_NOTES, "The benchmark has both orders: search.order second is its other one."],
      },
    },
  },
} as const satisfies MethodDeclaration<typeof options>;
