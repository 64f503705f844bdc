// onnxruntime-node as a contender in the inference works: the protocol of peer/peer.py on the graph that it exported.
// Takes the folder in whose node_modules the package lies: it is no dependency of darts.
// {"work": "inference-1" | …, "folder", "batch", "threads"} -> {"ms", "peakMB"};  {"work": "version"} -> {"onnxruntime"}
// {"work": "logits", "folder", "images", "threads"} -> {"logits"}.  Anything wrong -> {"error": …}.
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { createGenerator } from "../src/random/generator.ts";
import { memoryOf } from "./worker.ts";

/** What is used of the package. */
interface OnnxRuntime {
  readonly env: { readonly versions: { readonly node?: string } };
  readonly InferenceSession: { create(path: string, options: object): Promise<Session> };
  readonly Tensor: new (type: "float32", data: Float32Array, shape: readonly number[]) => object;
}
interface Session {
  run(feeds: { images: object }): Promise<{ logits: { data: Float32Array } }>;
}
interface Request {
  readonly work: string;
  readonly folder: string;
  readonly threads: number;
  readonly batch: number;
  /** Of `logits`: values of [N, 3, 32, 32]. */
  readonly images: readonly number[];
}

const PIXELS = 3 * 32 * 32;

const onnxruntime = createRequire(join(resolve(process.argv[2]!), "package.json"))(
  "onnxruntime-node",
) as OnnxRuntime;
const steps = new Map<string, () => Promise<Float32Array>>();

/** Computes the logits of `images`. The batch is fixed, so that the runtime can plan for it. */
async function createStep(
  folder: string,
  threads: number,
  images: Float32Array,
): Promise<() => Promise<Float32Array>> {
  const batch = images.length / PIXELS;
  const session = await onnxruntime.InferenceSession.create(join(folder, "network.onnx"), {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: "sequential",
    graphOptimizationLevel: "all",
    freeDimensionOverrides: { batch },
    // Its threads spin while they wait, as OpenMP's do, unless the variable says otherwise to both.
    extra: {
      session: { intra_op: { allow_spinning: process.env.OMP_WAIT_POLICY === "passive" ? "0" : "1" } },
    },
  });
  const input = { images: new onnxruntime.Tensor("float32", images, [batch, 3, 32, 32]) };
  return async () => (await session.run(input)).logits.data;
}

async function answer(request: Request): Promise<object> {
  const { work, folder, threads, batch } = request;
  if (work === "version") return { onnxruntime: onnxruntime.env.versions.node };
  if (work === "logits") {
    const step = await createStep(folder, threads, Float32Array.from(request.images));
    return { logits: [...(await step())] };
  }
  const key = `${folder} ${batch} ${threads}`;
  let step = steps.get(key);
  if (!step) {
    step = await createStep(folder, threads, randomImages(batch));
    steps.set(key, step);
  }
  const start = performance.now();
  const sum = (await step()).reduce((total, logit) => total + logit, 0);
  const ms = performance.now() - start;
  if (Number.isNaN(sum)) throw new RangeError("the logits are NaN");
  return { ms, peakMB: memoryOf("self", "VmHWM") || process.resourceUsage().maxRSS / 1024 };
}

/** Of unit variance, as in works.ts. */
function randomImages(batch: number): Float32Array {
  const generator = createGenerator(1, "bench");
  return new Float32Array(batch * PIXELS).map(() => Math.sqrt(12) * (generator.uniform() - 0.5));
}

for await (const line of createInterface({ input: process.stdin })) {
  let reply: object;
  try {
    reply = await answer(JSON.parse(line) as Request);
  } catch (error) {
    reply = { error: String(error) };
  }
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}
