// Named settings. A preset is a partial configuration over the schema's defaults, with a line that says what for.
// Those of the search methods stand with the methods themselves, in src/methods.
import { UserError } from "../errors.ts";
import type { MethodSource } from "../methods/declaration.ts";
import { quickSettings } from "../methods/shared-settings.ts";
import { methodPresets } from "../methods/table.ts";
import { nearest } from "./nearest.ts";
import {
  CODE,
  IMAGENET_PC_DARTS,
  IMAGENET_TRANSFER,
  PAPER,
  type SourcedSettings,
  settingsOf,
} from "./published-settings.ts";
import type { ConfigInput } from "./schema.ts";

/** A named partial configuration. */
export interface Preset {
  readonly name: string;
  readonly description: string;
  readonly settings: ConfigInput;
  /** Where a value comes from, by dotted key; empty for what is ours. */
  readonly sources: Readonly<Record<string, string>>;
  /** The method that it reproduces. */
  readonly source?: MethodSource;
  /** Where it differs from that, and why. */
  readonly notes?: readonly string[];
}

/** The presets of the whole job, by name. */
export const PRESETS: Readonly<Record<string, Preset>> = {
  quick: {
    name: "quick",
    description:
      "the whole job in minutes on two CPU cores: a small search and a short training on part of CIFAR-10",
    settings: quickSettings({ search: { order: "first" } }),
    sources: {},
  },
  paper: published(
    "paper",
    "CIFAR-10 by the DARTS paper, first order: 50 epochs of search, 600 of training (GPU days)",
    PAPER,
  ),
  code: published(
    "code",
    "the same by the code that was released with it: where they differ, the code",
    CODE,
  ),
  imagenet: published(
    "imagenet",
    "training on ImageNet by the DARTS paper and code: 14 cells, 250 epochs; set data.path to your copy",
    IMAGENET_TRANSFER,
  ),
  "imagenet-pc-darts": published(
    "imagenet-pc-darts",
    "training on ImageNet by PC-DARTS: batches of 1024, a line for the learning rate",
    IMAGENET_PC_DARTS,
  ),
};

function published(name: string, description: string, sourced: SourcedSettings): Preset {
  const sources = Object.fromEntries(Object.entries(sourced).map(([path, [, source]]) => [path, source]));
  return { name, description, settings: settingsOf(sourced), sources };
}

/** Every preset by name, those of the methods included. */
export function allPresets(): Readonly<Record<string, Preset>> {
  return { ...PRESETS, ...methodPresets() };
}

/** The preset of that name; throws a {@link UserError} that names the nearest one. */
export function findPreset(name: string): Preset {
  const presets = allPresets();
  const preset = Object.hasOwn(presets, name) ? presets[name] : undefined;
  if (preset) return preset;
  const names = Object.keys(presets);
  const near = nearest(name, names);
  const advice = near ? ` Did you mean ${near}?` : "";
  throw new UserError(
    `Unknown preset ${JSON.stringify(name)}; expected one of: ${names.join(", ")}.${advice}`,
  );
}
