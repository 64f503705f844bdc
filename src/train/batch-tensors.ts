// Moved to src/data/batch-tensors.ts; this line goes when test/search/steps.test.ts imports it from there.
export type { TensorBatch } from "../data/batch-tensors.ts";
