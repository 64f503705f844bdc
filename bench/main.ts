// `npm run bench -- step | methods | call | startup`: how fast we are, side by side with PyTorch in one run; `memory`: how well
// a plan forecasts the peak.
import { Command, InvalidArgumentError, Option } from "commander";
import { UserError } from "../src/errors.ts";
import { declaredMethods } from "../src/methods/table.ts";
import { benchCall } from "./call.ts";
import { warnWhenBusy } from "./machine.ts";
import { benchMemory } from "./memory.ts";
import { benchMethods } from "./methods.ts";
import { benchStartup } from "./startup.ts";
import { benchStep } from "./step.ts";
import { WORK_NAMES, type WorkName } from "./work-names.ts";

interface Options {
  readonly json: boolean;
  readonly runs: number;
}
interface MethodsFlags extends Options {
  readonly method: string[];
  readonly threads: number;
}
interface StepFlags extends Options {
  readonly work: WorkName[];
  readonly batch?: number[];
  readonly threads?: number[];
}

const names = Object.keys(WORK_NAMES) as WorkName[];
const methods = declaredMethods().flatMap(({ name, presets }) => (presets ? [name] : []));

// Set before the commands are made: they inherit it. A mistake in the flags is the user's: exit code 2.
const program = new Command("npm run bench --")
  .description("Measures darts beside PyTorch (of DARTS_BENCH_PYTHON, DARTS_PYTHON or python3).")
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2));

command("step", "time and peak memory of search and training steps", 5)
  .addOption(new Option("--work <name...>", "only these works").choices(names).default(names, "all"))
  .option(
    "--batch <n...>",
    "images in a batch; several are measured in turn (default: the published)",
    counts,
  )
  .option("--threads <n...>", "threads on both sides; several are measured in turn (default: 2)", counts)
  .action(({ work, batch = [], threads = [2], ...rest }: StepFlags) =>
    benchStep({ ...rest, works: work, batches: batch, threads }),
  );
command("methods", "time and peak memory of a search step of every method, beside DARTS in first order", 3)
  .addOption(
    new Option("--method <name...>", "only these methods, and darts")
      .choices(methods)
      .default(methods, "all"),
  )
  .option("--threads <n>", "threads on both sides", count, 2)
  .action(async ({ method, threads, ...rest }: MethodsFlags) => {
    await benchMethods({ ...rest, methods: method, threads });
    if (method.includes("pc-darts"))
      await benchStep({ ...rest, works: ["pc-darts-search-step"], batches: [], threads: [threads] });
  });
command("call", "cost of calling an operator", 9).action((options: Options) => benchCall(options));
command("startup", "start of the commands that compute nothing", 11).action((options: Options) =>
  benchStartup(options),
);
program
  .command("memory")
  .description("forecast and measured peak memory of searches and trainings of many sizes")
  .option("--json", "one line of JSON for each work instead of a table", false)
  .option("--large", "also the published training, which takes 8 GB", false)
  .action((options: { json: boolean; large: boolean }) => benchMemory(options));

try {
  program.hook("preAction", warnWhenBusy);
  await program.parseAsync();
} catch (error) {
  const { name, message, stack } = error as Error;
  process.stderr.write(`bench: ${error instanceof UserError ? message : (stack ?? `${name}: ${message}`)}\n`);
  process.exitCode = error instanceof UserError ? 2 : 1;
}

function command(name: string, description: string, runs: number): Command {
  return program
    .command(name)
    .description(description)
    .option("--json", "one line of JSON for each work instead of a table", false)
    .option("--runs <n>", "measured rounds", count, runs);
}

function count(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  throw new InvalidArgumentError("Expected a whole number above 0.");
}

/** One more number of a flag that takes several. */
function counts(text: string, before: readonly number[] = []): number[] {
  return [...before, count(text)];
}
