// Batch normalisation: its output and its running statistics in closed form.
import { BatchNorm2d } from "../nn/layers.ts";
import { tensor } from "../tensor/tensor.ts";
import { type Check, compareAll } from "./check.ts";

const TOLERANCE = 1e-12;

/** Two channels of four numbers: mean 2.5 and −3, biased variance 1.25 and 5, unbiased 5/3 and 20/3. */
export function normalizationChecks(): Check[] {
  using norm = new BatchNorm2d(2).to({ dtype: "float64" });
  const channels = [
    [1, 2, 3, 4],
    [0, -2, -4, -6],
  ] as const;
  const x = tensor(channels.flat(), [1, 2, 2, 2], { dtype: "float64" });
  const normalized = (mean: number[], variance: number[]) =>
    channels.flatMap((values, c) =>
      values.map((value) => (value - mean[c]!) / Math.sqrt(variance[c]! + 1e-5)),
    );

  const output = norm.forward(x).toNumbers();
  const [mean, variance] = [norm.running_mean.toNumbers(), norm.running_var.toNumbers()];
  norm.eval();
  const evaluated = norm.forward(x).toNumbers();
  const [runningMean, runningVariance] = [
    [0.25, -0.3],
    [0.9 + 0.1 * (5 / 3), 0.9 + 0.1 * (20 / 3)],
  ];
  return [
    compareAll(
      "batch normalisation by the batch's statistics",
      output,
      normalized([2.5, -3], [1.25, 5]),
      TOLERANCE,
    ),
    compareAll("running mean of batch normalisation", mean, runningMean, TOLERANCE),
    compareAll("running variance of batch normalisation", variance, runningVariance, TOLERANCE),
    compareAll(
      "batch normalisation in evaluation",
      evaluated,
      normalized(runningMean, runningVariance),
      TOLERANCE,
    ),
    compareAll("running statistics after evaluation", norm.running_mean.toNumbers(), runningMean, TOLERANCE),
  ];
}
