// `bench startup`: how long a person waits for the commands that compute nothing, above Node's own start.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { heading, load, machine } from "./machine.ts";
import { median, rounded, snake } from "./statistics.ts";
import { table } from "./table.ts";

const DARTS = fileURLToPath(new URL("../../bin/darts.mjs", import.meta.url));

const COMMANDS = {
  floor: { label: "node -e 0", args: ["-e", "0"] },
  help: { label: "darts --help", args: [DARTS, "--help"] },
  show: { label: "darts show DARTS_V2 --json", args: [DARTS, "show", "DARTS_V2", "--json"] },
} as const;
type Name = keyof typeof COMMANDS;
const NAMES = Object.keys(COMMANDS) as Name[];

/** Runs each command `runs` times in turns and prints the times. */
export async function benchStartup({ runs, json }: { runs: number; json: boolean }): Promise<void> {
  const before = load();
  const times: Record<Name, number[]> = { floor: [], help: [], show: [] };
  for (const name of NAMES) once(name); // fills the file cache
  for (let round = 0; round < runs; round++) {
    for (const name of snake(NAMES, round)) times[name].push(once(name));
  }
  const figures = (name: Name) => ({
    medianMs: rounded(median(times[name])),
    minMs: rounded(Math.min(...times[name])),
  });
  const [floor, help, show] = NAMES.map(figures);
  if (json) {
    const report = { work: "startup", ours: { help, show }, floor, runs, machine: machine(), load: before };
    console.log(JSON.stringify(report));
    return;
  }
  const rows = [floor, help, show].map(({ medianMs, minMs }, i) => [
    COMMANDS[NAMES[i]].label,
    medianMs.toFixed(0),
    minMs.toFixed(0),
    (medianMs - floor.medianMs).toFixed(0),
  ]);
  console.log(`${heading()}\n${runs} rounds\n${table(["", "median ms", "min ms", "above node"], rows)}`);
}

function once(name: Name): number {
  const { label, args } = COMMANDS[name];
  const start = performance.now();
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  const ms = performance.now() - start;
  if (status !== 0 || (name !== "floor" && stdout.length === 0)) {
    throw new Error(`${label} failed with exit code ${status}: ${stderr.trim() || "it printed nothing"}`);
  }
  return ms;
}
