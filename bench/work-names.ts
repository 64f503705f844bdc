// The works of `bench step` by name. Apart from works.ts, so that the runner does not load libtorch itself.

/** Every work, and what it is. */
export const WORK_NAMES = {
  "supernet-step": "forward and backward of the supernet",
  "first-order-step": "first-order search step: alphas, then weights",
  "second-order-step": "second-order search step: alphas, then weights",
  "evaluation-step": "training step of DARTS_V2 with auxiliary head and drop-path",
} as const;
export type WorkName = keyof typeof WORK_NAMES;

/** Sizes of a work; the published ones where absent. */
export interface Size {
  readonly batch?: number;
  readonly channels?: number;
  readonly cells?: number;
}

/** The published batch of a work. */
export function publishedBatch(work: WorkName): number {
  return work === "evaluation-step" ? 96 : 64;
}
