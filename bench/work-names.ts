// The works of `bench step` by name. Apart from works.ts, so that the runner does not load libtorch itself.

/** Every work, and what it is. */
export const WORK_NAMES = {
  "supernet-step": "forward and backward of the supernet",
  "first-order-step": "first-order search step: alphas, then weights",
  "second-order-step": "second-order search step: alphas, then weights",
  "pc-darts-step":
    "forward and backward of the supernet of PC-DARTS: a quarter of the channels, edge weights",
  "pc-darts-search-step":
    "first-order search step of PC-DARTS: alphas and betas, then weights; ours also makes its batches",
  "gdas-step": "forward and backward of the supernet of GDAS: one sampled operation an edge",
  "evaluation-step": "training step of DARTS_V2 with auxiliary head and drop-path",
  "inference-1": "DARTS_V2 in evaluation, one image",
  "inference-128": "DARTS_V2 in evaluation, a batch",
} as const;
export type WorkName = keyof typeof WORK_NAMES;

/** Sizes of a work; the published ones where absent. */
export interface Size {
  readonly batch?: number;
  readonly channels?: number;
  readonly cells?: number;
  /** Of an inference: the folder of an exported network, whose weights it takes (see exported.ts). */
  readonly folder?: string;
}

/** Whether a work is an inference, in which onnxruntime can take part. */
export function isInference(work: WorkName): boolean {
  return work.startsWith("inference");
}

/** The published batch of a work; of an inference the one that it is named for. */
export function publishedBatch(work: WorkName): number {
  return BATCHES[work] ?? 64;
}

/**
 * Steps that a contender takes in its turn. Threads of the one before it go on spinning for some milliseconds after its last
 * step (OpenMP's, onnxruntime's), on a core that the next needs: a step of a few milliseconds would show mostly that.
 */
export function stepsOfTurn(work: WorkName): number {
  return work === "inference-1" ? 20 : 1;
}

const BATCHES: { readonly [work in WorkName]?: number } = {
  "pc-darts-step": 256,
  "pc-darts-search-step": 256,
  "evaluation-step": 96,
  "inference-1": 1,
  "inference-128": 128,
};
