// One network for all contenders of the inference works: PyTorch writes its weights and an ONNX graph with the batch
// norms folded, and everybody must compute the same logits before anything is timed.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UserError } from "../src/errors.ts";
import { createGenerator } from "../src/random/generator.ts";
import { OURS, onnxruntimeIn, PEER } from "./contenders.ts";
import { type Program, type Worker, withWorker } from "./worker.ts";

/** The network's files, and the contender that they make possible. */
export interface Exported {
  readonly folder: string;
  readonly program: Program;
  /** Of onnxruntime-node. */
  readonly version: string;
  /** The largest difference of PyTorch's and darts' logits from onnxruntime's, relative to the largest logit. */
  readonly difference: number;
  dispose(): void;
}

/** Images whose logits are compared, and how far these may differ. */
const IMAGES = 4;
const TOLERANCE = 1e-4;

/**
 * Exports the network to a temporary folder and compares the logits of onnxruntime, PyTorch and darts; null without
 * DARTS_BENCH_ONNXRUNTIME. Throws a UserError where the package or the exporter is missing.
 */
export async function exportNetwork(threads: number): Promise<Exported | null> {
  const home = process.env.DARTS_BENCH_ONNXRUNTIME;
  if (!home) {
    process.stderr.write(
      "No onnxruntime to compare inference with. Install it (npm install --prefix ~/ort onnxruntime-node) and " +
        "name the folder: DARTS_BENCH_ONNXRUNTIME=~/ort npm run bench …\n",
    );
    return null;
  }
  const program = onnxruntimeIn(home);
  const { onnxruntime: version } = await withWorker(program, (worker) =>
    worker.ask<{ onnxruntime: string }>({ work: "version" }),
  ).catch((error: Error) => {
    throw new UserError(
      `DARTS_BENCH_ONNXRUNTIME is ${home}, where onnxruntime-node does not load (${error.message}). ` +
        `Install it there: npm install --prefix ${home} onnxruntime-node`,
    );
  });
  const folder = mkdtempSync(join(tmpdir(), "darts-bench-"));
  const dispose = () => rmSync(folder, { recursive: true, force: true });
  try {
    await withWorker(PEER, (worker) => worker.ask({ work: "export", folder })).catch((error: Error) => {
      throw new UserError(
        `PyTorch could not export the network for onnxruntime (${error.message}). ` +
          `Install what it needs: ${PEER.command} -m pip install onnx onnxscript`,
      );
    });
    const difference = await compareLogits(
      { onnxruntime: program, PyTorch: PEER, darts: OURS },
      folder,
      threads,
    );
    return { folder, program, version, difference, dispose };
  } catch (error) {
    dispose();
    throw error;
  }
}

/** The largest difference from the first contender; throws when one is too far from it. */
async function compareLogits(
  programs: Readonly<Record<string, Program>>,
  folder: string,
  threads: number,
): Promise<number> {
  const generator = createGenerator(2, "bench");
  const images = Array.from({ length: IMAGES * 3 * 32 * 32 }, () => 2 * generator.uniform() - 1);
  const ask = (worker: Worker) =>
    worker.ask<{ logits: number[] }>({ work: "logits", folder, threads, images });
  let largest = 0;
  let expected: number[] | undefined;
  for (const [name, program] of Object.entries(programs)) {
    const { logits } = await withWorker(program, ask);
    expected ??= logits;
    const scale = Math.max(...expected.map(Math.abs));
    const differences = expected.map((value, i) => Math.abs(value - (logits[i] ?? Number.NaN)) / scale);
    const difference = Math.max(...differences);
    // Also true of NaN.
    if (!(difference <= TOLERANCE))
      throw new Error(
        `${name} computes other logits than ${Object.keys(programs)[0]}: they differ by ${difference} of the ` +
          `largest, expected at most ${TOLERANCE}. The contenders do not compute the same network.`,
      );
    largest = Math.max(largest, difference);
  }
  return largest;
}
