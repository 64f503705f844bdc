// `darts compare`: runs over methods and seeds in one table, beside random cells at equal budget.
import type { Command } from "../command.ts";

/** The command. */
export const compare: Command = {
  name: "compare",
  summary:
    "compare runs over methods and seeds: cells, costs, accuracies, beside random cells at equal budget",
  arguments: [{ usage: "<run...>", description: "folders of runs, or folders that hold some" }],
  options: [{ usage: "--runs", description: "list each run with its genotype as well" }],
  examples: [
    ["darts compare runs", "every run in that folder"],
    ["darts compare runs/darts-* runs/pc-darts-* --runs", "two methods, run by run"],
  ],
  async action({ args, options }) {
    const [{ compareRuns }, { comparisonText }] = await Promise.all([
      import("../../library/compare-runs.ts"),
      import("../../compare/text.ts"),
    ]);
    const json = await compareRuns(args as readonly string[]);
    return { json, text: comparisonText(json, { listRuns: options["runs"] === true }) };
  },
};
