// The learning rate of each epoch of a training: how it rises and falls.
import type { Config } from "../config/schema.ts";
import { cosine, linear } from "../optim/schedule.ts";

/** The keys that the learning rate depends on. */
export type RateOptions = Pick<
  Config["train"],
  "schedule" | "learningRate" | "learningRateMin" | "decay" | "warmup" | "epochs"
>;

/** The learning rate in `epoch`, from 0: that of the schedule, times (epoch + 1) / W in the first W epochs. */
export function learningRateAt(options: RateOptions, epoch: number): number {
  const { warmup } = options;
  const warmth = epoch < warmup ? (epoch + 1) / warmup : 1;
  return warmth * scheduled(options, epoch);
}

function scheduled(options: RateOptions, epoch: number): number {
  const { schedule, learningRate, learningRateMin, decay, epochs } = options;
  switch (schedule) {
    case "cosine":
      return cosine(learningRate, learningRateMin, epochs, epoch);
    case "linear":
      return linear(learningRate, learningRateMin, epochs, epoch);
    case "exponential":
      return learningRate * decay ** epoch;
  }
}
