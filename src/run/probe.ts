// How long steps take: a few of the full size, on noise, in a search or training that is thrown away afterwards.
import type { Config } from "../config/schema.ts";
import type { Genotype } from "../genotype/genotype.ts";
import { Search } from "../search/search.ts";
import { isOneLevel } from "../search/splits.ts";
import { Training } from "../train/training.ts";
import { type Images, type Load, noise, rehearsedShapes } from "./rehearse.ts";

/** Seconds of a step, and of what comes once an epoch beside its steps. */
export interface Pace {
  readonly step: number;
  readonly perEpoch: number;
}

/** Times `steps` search steps after one to warm up, the mean over the shapes that the search takes on, and a validation, which is taken in proportion to `validated` images. */
export function probeSearch(
  config: Config,
  images: Images,
  { steps, load, validated }: { steps: number; load: Load; validated: number },
): Pace {
  const paces = rehearsedShapes(config, images).map((_, rehearsal) =>
    probeShape(config, images, { steps, load, validated, rehearsal }),
  );
  const mean = (of: keyof Pace) => paces.reduce((sum, pace) => sum + pace[of], 0) / paces.length;
  return { step: mean("step"), perEpoch: mean("perEpoch") };
}

function probeShape(
  config: Config,
  images: Images,
  { steps, load, validated, rehearsal }: { steps: number; load: Load; validated: number; rehearsal: number },
): Pace {
  const oneLevel = isOneLevel(config);
  const count = (steps + 1) * load.batch;
  using search = new Search(
    {
      ...config,
      data: { ...config.data, weightsShare: 0.5 },
      search: { ...config.search, trainImages: null, archFromEpoch: 0, batchSize: load.batch },
    },
    noise(images, oneLevel ? count : 2 * count),
    { rehearsal },
  );
  const step = medianSeconds(steps, () => search.runStep());
  const validation = oneLevel ? 0 : seconds(() => search.validate());
  return { step, perEpoch: (validation / count) * validated };
}

/** Times `steps` training steps after one to warm up. */
export function probeTraining(
  config: Config,
  genotype: Genotype,
  images: Images,
  { steps, load }: { steps: number; load: Load },
): Pace {
  const train = { ...config.train, batchSize: load.batch };
  using training = new Training({ ...config, train }, genotype, noise(images, (steps + 1) * load.batch));
  return { step: medianSeconds(steps, () => training.runStep()), perEpoch: 0 };
}

function medianSeconds(times: number, step: () => void): number {
  step();
  const sorted = Array.from({ length: times }, () => seconds(step)).sort((a, b) => a - b);
  const middle = times >> 1;
  return times % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function seconds(work: () => void): number {
  const started = performance.now();
  work();
  return (performance.now() - started) / 1000;
}
