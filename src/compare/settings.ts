// Which settings make two runs the same experiment but for chance, and which make two trainings comparable.
import { valueAt } from "../config/format.ts";
import { configKeys, optionKeys } from "../config/keys.ts";
import { edgeOffset, type Keeping, keptBy } from "../genotype/genotype.ts";
import { derivedCells } from "../methods/table.ts";
import { FREE_SETTINGS } from "../run/fixed-settings.ts";
import { findSpace, openCandidates } from "../space/spaces.ts";
import type { ComparedRun } from "./run-row.ts";

/** Settings by dotted key. */
export type Settings = Readonly<Record<string, unknown>>;

/** A setting in which groups differ. */
export interface SettingDifference {
  readonly key: string;
  /** Whether trainings differ by it: then their accuracies do not compare. */
  readonly training: boolean;
  /** The values, each with the groups that have it; an option is compared among the methods that have it. */
  readonly values: readonly { readonly value: unknown; readonly groups: readonly string[] }[];
}

/** What repeats and what a search alone reads of the data. */
const NOT_TRAINING = ["data.weightsShare", ...FREE_SETTINGS];

/** All that a run's outcome depends on, but for the seed and what may change on resuming. */
export function settingsOf({ config, searches, data, row }: ComparedRun): Settings {
  const { method } = config.search;
  const paths = [...configKeys(), ...(searches ? optionKeys(method) : [])].map(({ path }) => path);
  const mattering = paths.filter((path) => {
    const read = searches || !/^(search|guard)\.|^data\.weightsShare$/.test(path);
    return path !== "seed" && read && !FREE_SETTINGS.includes(path);
  });
  return {
    ...Object.fromEntries(mattering.map((path) => [path, valueAt(config, path)])),
    images: data,
    // What a run is given to train is a setting of it.
    ...(!searches && { cell: row.genotype }),
  };
}

/** What a training from scratch depends on beside its cell and the seed. */
export function trainingOf({ config, data }: Pick<ComparedRun, "config" | "data">): Settings {
  const paths = configKeys()
    .map(({ path }) => path)
    .filter((path) => isTraining(path));
  return { ...Object.fromEntries(paths.map((path) => [path, valueAt(config, path)])), images: data };
}

/**
 * What random cells are drawn from and how. The order of the operations has no part in it; `none` is drawn or not as the
 * named space has it. Whether an edge may keep several operations tells only where a node then keeps more: methods with
 * and without it that keep as many for every node draw the same cells.
 */
export function drawnFrom({ config }: Pick<ComparedRun, "config">): Settings {
  const { name, nodes, primitives } = config.space;
  const { fixed = null, ...keeping } = derivedCells(config);
  const { multiplyAdds, parameters } = config.budget;
  return {
    "space.name": name,
    "space.nodes": nodes,
    "space.primitives": primitives.filter((primitive) => primitive !== "none").toSorted(),
    "edges kept for each node": edgesKept(config, keeping),
    "fixed reduction cell": fixed,
    budget: [multiplyAdds, parameters],
  };
}

/** How many edges each node keeps, in both kinds of cells. */
function edgesKept({ space }: Pick<ComparedRun["config"], "space">, keeping: Keeping): number[][] {
  const { primitives, nodes } = space;
  const { inputs } = findSpace(space.name).skeleton;
  const { normal, reduce } = openCandidates(space);
  return [normal, reduce].map((rows) => {
    const open = rows.map((row) => row.filter((k) => primitives[k] !== "none"));
    const numbers = rows.length === 0 ? [] : Array.from({ length: nodes }, (_, node) => node);
    return numbers.map((node) =>
      keptBy(keeping, open.slice(edgeOffset(node, inputs), edgeOffset(node + 1, inputs))),
    );
  });
}

/** The keys in which groups differ, but for the method itself, with their values in the order of the groups. */
export function differencesAmong(groups: ReadonlyMap<string, Settings>): SettingDifference[] {
  const keys = new Set([...groups.values()].flatMap((settings) => Object.keys(settings)));
  keys.delete("search.method");
  return [...keys].flatMap((key) => {
    const byValue = new Map<string, { value: unknown; groups: string[] }>();
    for (const [group, settings] of groups) {
      if (!Object.hasOwn(settings, key)) continue;
      const value = settings[key];
      const text = JSON.stringify(value);
      const one = byValue.get(text) ?? { value, groups: [] };
      one.groups.push(group);
      byValue.set(text, one);
    }
    return byValue.size === 1 ? [] : [{ key, training: isTraining(key), values: [...byValue.values()] }];
  });
}

function isTraining(key: string): boolean {
  return key === "images" || (/^(data|train)\./.test(key) && !NOT_TRAINING.includes(key));
}
