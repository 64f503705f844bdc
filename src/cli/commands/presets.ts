// `darts presets`: the named settings, and each as a whole configuration with its differences from the paper.
import type { MethodSource } from "../../methods/declaration.ts";
import type { Command } from "../command.ts";

const REFERENCE = "paper";

/** The command. */
export const presets: Command = {
  name: "presets",
  summary:
    "list the presets, or print one in full with the source of each value and its differences from the paper",
  arguments: [{ usage: "[name]", description: "preset to print" }],
  examples: [
    ["darts presets quick > my.yaml", "a file to edit and pass to --config"],
    ["darts presets code", "the released code's settings, each with its source"],
  ],
  async action({ args: [name] }) {
    return name === undefined ? list() : print(name);
  },
};

async function list() {
  const { allPresets } = await import("../../config/presets.ts");
  const rows = Object.values(allPresets()).map(({ name, description, source, notes }) => ({
    name,
    description,
    ...(source && { source, notes }),
  }));
  const width = Math.max(...rows.map(({ name }) => name.length));
  return {
    json: { presets: rows },
    text: rows.map(({ name, description }) => `${name.padEnd(width)}  ${description}`).join("\n"),
  };
}

async function print(name: string) {
  const [{ findPreset }, { resolveConfig }, { diffConfigs, formatConfig }] = await Promise.all([
    import("../../config/presets.ts"),
    import("../../config/load.ts"),
    import("../../config/format.ts"),
  ]);
  const { description, sources, source, notes = [] } = findPreset(name);
  const config = resolveConfig({ preset: name });
  const reference = resolveConfig({ preset: REFERENCE });
  const differences = diffConfigs(config, reference);
  const yaml = formatConfig(config, { reference: { name: REFERENCE, config: reference }, notes: sources });
  const comments = [`${name}: ${description}`, ...(source ? [sourceText(source)] : []), ...notes];
  return {
    json: { name, description, ...(source && { source, notes }), config, sources, differences },
    text: `${comments.map((line) => `# ${line}`).join("\n")}\n${yaml}`,
  };
}

/** The paper, with its number and its code where there are any. */
function sourceText({ paper, arxiv, code }: MethodSource): string {
  const places = [arxiv && `arXiv:${arxiv}`, code].filter(Boolean);
  return places.length > 0 ? `${paper} (${places.join(", ")})` : paper;
}
