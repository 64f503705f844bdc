// Named settings. A preset is a partial configuration over the schema's defaults, with a line that says what for.
// No zod here: listing presets must not cost its import.
import { UserError } from "../errors.ts";
import { DARTS_PRIMITIVES } from "../space/primitives.ts";
import { nearest } from "./nearest.ts";
import type { ConfigInput } from "./schema.ts";

/** A named partial configuration. */
export interface Preset {
  readonly name: string;
  readonly description: string;
  readonly settings: ConfigInput;
}

/** Every preset by name. */
export const PRESETS: Readonly<Record<string, Preset>> = {
  quick: {
    name: "quick",
    description:
      "the whole job in minutes on two CPU cores: a small search and a short training on part of CIFAR-10",
    settings: {
      data: { name: "cifar10", trainImages: 8000, testImages: 2000 },
      search: {
        order: "first",
        trainImages: 4096,
        channels: 16,
        cells: 5,
        epochs: 4,
        batchSize: 32,
        // Few steps: the alphas must move further in each to leave their start.
        archLearningRate: 3e-3,
      },
      train: {
        channels: 8,
        cells: 5,
        epochs: 4,
        batchSize: 64,
        cutout: 0,
        dropPath: 0,
        auxiliary: false,
        randomCells: 1,
      },
    },
  },
  // DARTS (Liu et al., ICLR 2019), sections 3.1 and A.1, and its published code where the text says less.
  // Equal to the schema's defaults, and written out so that it stays the paper's if a default ever moves.
  paper: {
    name: "paper",
    description:
      "the published CIFAR-10 settings of DARTS, first order: 50 epochs of search, 600 of training (GPU days)",
    settings: {
      seed: 2,
      data: {
        name: "cifar10",
        trainImages: null,
        testImages: null,
        weightsShare: 0.5,
        cropPadding: 4,
        flip: true,
      },
      space: { nodes: 4, primitives: [...DARTS_PRIMITIVES], stemMultiplier: 3 },
      search: {
        method: "darts",
        order: "first",
        channels: 16,
        cells: 8,
        epochs: 50,
        batchSize: 64,
        learningRate: 0.025,
        learningRateMin: 0.001,
        momentum: 0.9,
        weightDecay: 3e-4,
        gradClip: 5,
        archLearningRate: 3e-4,
        archBeta1: 0.5,
        archBeta2: 0.999,
        archWeightDecay: 1e-3,
        archFromEpoch: 0,
        cutout: 0,
      },
      train: {
        channels: 36,
        cells: 20,
        stem: "cifar",
        epochs: 600,
        batchSize: 96,
        learningRate: 0.025,
        learningRateMin: 0,
        momentum: 0.9,
        weightDecay: 3e-4,
        gradClip: 5,
        cutout: 16,
        dropPath: 0.2,
        auxiliary: true,
        auxiliaryWeight: 0.4,
        labelSmoothing: 0,
      },
    },
  },
};

/** The preset of that name; throws a {@link UserError} that names the nearest one. */
export function findPreset(name: string): Preset {
  const preset = Object.hasOwn(PRESETS, name) ? PRESETS[name] : undefined;
  if (preset) return preset;
  const names = Object.keys(PRESETS);
  const near = nearest(name, names);
  const advice = near ? ` Did you mean ${near}?` : "";
  throw new UserError(
    `Unknown preset ${JSON.stringify(name)}; expected one of: ${names.join(", ")}.${advice}`,
  );
}
