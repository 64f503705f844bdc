// Run in a child process by `darts doctor`: loads libtorch, computes a little, prints what it found as JSON.
import { native } from "./binding.ts";

const torch = native();
const threads = Math.max(1, Number(process.env.DARTS_PROBE_THREADS ?? 1));
torch.setThreads(threads, threads);
const [add] = torch.resolve("aten::add", "Tensor");
const ones = torch.create(new Float32Array([1, 1]), [2], "float32", "cpu");
const sum = new Float32Array(torch.read(torch.call(add, ones, ones) as number));
process.stdout.write(
  JSON.stringify({
    version: torch.version(),
    devices: torch.devices(),
    threads: torch.threads(),
    correct: sum[0] === 2 && sum[1] === 2,
    operators: torch.schemas().length,
    kernelLanes: torch.call(torch.resolve("darts::kernel_lanes", "default")[0]),
  }),
);
