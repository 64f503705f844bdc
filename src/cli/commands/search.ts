// `darts search`: the search alone; its run folder ends with the derived genotype.
import type { Command } from "../command.ts";
import { newRunOptions, RUN_OPTIONS, resume } from "./new-run.ts";

/** The command. */
export const search: Command = {
  name: "search",
  summary: "search a cell and derive its genotype",
  options: RUN_OPTIONS,
  configKeys: "all",
  interruptible: true,
  examples: [
    ["darts search --preset quick --name first", "into runs/first"],
    ["darts search --preset paper --search-order second", "the published second-order search"],
    ["darts search --resume runs/first", "go on with an interrupted search"],
  ],
  async action(input) {
    const resumed = await resume("search", input);
    if (resumed) return resumed;
    const { loadConfig } = await import("../../plugin/config.ts");
    const config = await loadConfig(input.sources);
    const { searchCommand } = await import("../../run/jobs.ts");
    return searchCommand(config, newRunOptions(input));
  },
};
