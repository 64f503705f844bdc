// `darts data`: lists, fetches and verifies the data sets in the cache.
import type { DatasetEntry } from "../../data/entry.ts";
import { UserError } from "../../errors.ts";
import { Interruption } from "../../run/interruption.ts";
import type { Command, CommandInput, Outcome } from "../command.ts";

const ACTIONS = ["list", "get", "verify"] as const;

/** The command. */
export const data: Command = {
  name: "data",
  summary: "list the data sets, fetch one, or verify what the cache holds",
  arguments: [
    { usage: "[action]", description: "list, get or verify (default: list)" },
    { usage: "[name]", description: "data set to get or verify (verify: all of them when not named)" },
  ],
  options: [
    {
      usage: "--cache <folder>",
      description: "cache folder (default: $DARTS_CACHE, or darts in the user's cache)",
    },
    {
      usage: "--plugin <file>",
      description: "TypeScript file that adds data sets; repeatable",
      repeatable: true,
      parse: (file, before) => [...((before as readonly string[] | undefined) ?? []), file],
    },
  ],
  interruptible: true,
  whenInterrupted: "stopping",
  examples: [
    ["darts data get cifar10", "download, check and keep it"],
    ["darts data verify", "compare every checksum in the cache"],
  ],
  async action({ args: [action = "list", name], options, reporter, signal }) {
    if (!ACTIONS.some((known) => known === action)) await refuse(`action ${action}`, action, ACTIONS);
    const { plugin } = options as { plugin?: readonly string[] };
    if (plugin) {
      const { loadPlugins } = await import("../../plugin/load.ts");
      await loadPlugins(plugin);
    }
    const { cacheFolder } = await import("../../data/cache.ts");
    const cache = (options["cache"] as string | undefined) ?? cacheFolder();
    if (action === "get") return get(name, cache, { reporter, signal });
    return action === "verify" ? verify(name, cache) : list(cache);
  },
};

async function list(cache: string): Promise<Outcome> {
  const datasets = await entries();
  const rows = await Promise.all(
    datasets.map(async ({ name, description, bytes, verify: verifyEntry }) => {
      const { state } = bytes ? await verifyEntry({ cache }) : { state: "yours" as const };
      return { name, description, bytes, state };
    }),
  );
  const width = Math.max(...rows.map(({ name }) => name.length));
  const lines = rows.map(({ name, description, bytes, state }) =>
    [name.padEnd(width), state.padEnd(7), (bytes ? megabytes(bytes) : "").padStart(8), description].join(
      "  ",
    ),
  );
  return { json: { cache, datasets: rows }, text: [...lines, "", `cache: ${cache}`].join("\n") };
}

async function get(
  name: string | undefined,
  cache: string,
  { reporter, signal }: Pick<CommandInput, "reporter" | "signal">,
): Promise<Outcome> {
  const entry = await find(name);
  const { AS_THEY_ARE } = await import("../../data/entry.ts");
  try {
    await entry.get({ path: null, ...AS_THEY_ARE, cache, report: reporter.log, signal });
  } catch (error) {
    throw signal?.aborted ? new Interruption(undefined, signal.reason) : error;
  }
  const { state, folder, problems } = await entry.verify({ cache });
  return {
    json: { name: entry.name, state, folder, problems },
    text: [`${entry.name}: ${placed(state, folder)}`, ...problems].join("\n"),
    exitCode: state === "whole" || state === "yours" ? 0 : 1,
  };
}

async function verify(name: string | undefined, cache: string): Promise<Outcome> {
  const chosen = name === undefined ? (await entries()).filter(({ bytes }) => bytes > 0) : [await find(name)];
  const rows = await Promise.all(
    chosen.map(async (entry) => ({ name: entry.name, ...(await entry.verify({ cache })) })),
  );
  const lines = rows.flatMap(({ name: label, state, folder, problems }) => [
    `${label}: ${placed(state, folder)}`,
    ...problems.map((problem) => `  ${problem}`),
    ...(state === "damaged" ? [`  Make it whole again with: darts data get ${label}`] : []),
  ]);
  // Absent is what was asked about only when it was named.
  const bad = rows.some(({ state }) => state === "damaged" || (state === "absent" && name !== undefined));
  return { json: { cache, datasets: rows }, text: lines.join("\n"), exitCode: bad ? 1 : 0 };
}

/** A state and the folder of the cache that it is of; what is the user's own lies in none. */
function placed(state: string, folder: string): string {
  return folder === "" ? `${state}, not in the cache` : `${state}, in ${folder}`;
}

async function entries(): Promise<DatasetEntry[]> {
  const { DATASETS } = await import("../../data/datasets.ts");
  return Object.values(DATASETS);
}

async function find(name: string | undefined): Promise<DatasetEntry> {
  const datasets = await entries();
  const names = datasets.map((entry) => entry.name);
  if (name === undefined) throw new UserError(`Which data set? Expected one of: ${names.join(", ")}.`);
  return datasets.find((entry) => entry.name === name) ?? refuse(`data set ${name}`, name, names);
}

async function refuse(what: string, got: string, known: readonly string[]): Promise<never> {
  const { nearest } = await import("../../config/nearest.ts");
  const near = nearest(got, known);
  throw new UserError(
    `Unknown ${what}; expected ${known.join(", ")}.${near ? ` Did you mean ${near}?` : ""}`,
  );
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1e6)} MB`;
}
