// The settings of NAS-Bench-201 (Dong, Yang, ICLR 2020, appendix and configs of its code): the search of its baselines, on
// the benchmark's own network, and the training of 200 epochs that its table holds.
import type { ConfigInput } from "../config/schema.ts";
import { findSpace } from "../space/spaces.ts";
import { publishedSettings } from "./shared-settings.ts";

/** A search of the benchmark's baselines, and its training, but for what is said otherwise of the search. */
export function benchmarkSettings(search: ConfigInput["search"]): ConfigInput {
  const { name, nodes, primitives, skeleton, evaluation } = findSpace("nas-bench-201");
  return publishedSettings({
    space: { name, nodes, primitives: [...primitives], stemMultiplier: skeleton.stemMultiplier },
    search: { ...evaluation, nesterov: true, weightDecay: 5e-4, ...search },
    train: {
      ...evaluation,
      epochs: 200,
      batchSize: 256,
      learningRate: 0.1,
      nesterov: true,
      weightDecay: 5e-4,
      gradClip: 0,
      cutout: 0,
      dropPath: 0,
      auxiliary: false,
    },
  });
}

/** What of the published runs the settings cannot say. */
export const BENCHMARK_NOTES: readonly string[] = [
  "17 places are five cells, a residual block, five cells, a residual block, five cells.",
  "In its search the code's convolutions have biases where their batch norms have no scale and shift, which take them " +
    "away again; here none has.",
  "The code moves the learning rates at every iteration, here they are those of the epoch.",
];
