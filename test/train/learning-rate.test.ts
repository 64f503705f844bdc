// The schedules of a training against their published forms.
import { test } from "node:test";
import { learningRateAt, type RateOptions } from "../../src/train/learning-rate.ts";
import { assertClose } from "../support/assert-close.ts";

const base: RateOptions = {
  schedule: "cosine",
  learningRate: 0.1,
  learningRateMin: 0,
  decay: 0.97,
  warmup: 0,
  epochs: 4,
};
const rates = (options: Partial<RateOptions>) =>
  [0, 1, 2, 3].map((epoch) => learningRateAt({ ...base, ...options }, epoch));

for (const [name, options, expected] of [
  ["the cosine", {}, [0.1, 0.05 * (1 + Math.SQRT1_2), 0.05, 0.05 * (1 - Math.SQRT1_2)]],
  ["the line", { schedule: "linear" }, [0.1, 0.075, 0.05, 0.025]],
  ["the line to another end", { schedule: "linear", learningRateMin: 0.02 }, [0.1, 0.08, 0.06, 0.04]],
  ["the factor of each epoch", { schedule: "exponential" }, [0.1, 0.097, 0.1 * 0.97 ** 2, 0.1 * 0.97 ** 3]],
  ["a warm-up under the line", { schedule: "linear", warmup: 2 }, [0.05, 0.075, 0.05, 0.025]],
] as const) {
  test(`${name} gives the published rates`, () => {
    assertClose(rates(options), [...expected], 1e-15, name);
  });
}
