// What a speed claim must name: the machine, what else it was doing, and the command that repeats the run.
import { availableParallelism, cpus, loadavg, totalmem } from "node:os";

/** The machine, in words. */
export function machine(): string {
  const model = cpus()[0]?.model.trim() ?? process.arch;
  return `${model}, ${availableParallelism()} cores, ${Math.round(totalmem() / 2 ** 30)} GB, Node ${process.versions.node}`;
}

/** Processes that wanted to run in the last minute, of which the benchmark is at most a few. */
export function load(): number {
  return Number(loadavg()[0].toFixed(2));
}

/** Says so when others compute here: a thread that waits for a core that is taken makes a step many times longer. */
export function warnWhenBusy(): void {
  if (load() < availableParallelism() / 2) return;
  process.stderr.write(
    `The machine is busy (load ${load()} on ${availableParallelism()} cores): times of this run will not say much.\n`,
  );
}

/** The command line that started this, with the variables that change what it measures. */
export function command(): string {
  const variables = [
    "DARTS_BENCH_PYTHON",
    "DARTS_BENCH_ONNXRUNTIME",
    "DARTS_PYTHON",
    "DARTS_LIBTORCH",
    "LIBTORCH",
    "OMP_WAIT_POLICY",
  ]
    .filter((name) => process.env[name])
    .map((name) => `${name}=${process.env[name]} `);
  return `${variables.join("")}npm run bench -- ${process.argv.slice(2).join(" ")}`;
}

/** The heading of every readable report. */
export function heading(): string {
  return [`Machine: ${machine()}`, `Load: ${load()} when it began`, `Repeat with: ${command()}`].join("\n");
}
