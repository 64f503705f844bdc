// What can be wrong with a configuration on a data set, found before a run folder is made and hours are spent.
import { fusedOnly } from "../config/fused-only.ts";
import type { Config } from "../config/schema.ts";
import type { ImageDataset } from "../data/dataset.ts";
import type { Size } from "../data/resize.ts";
import { UserError } from "../errors.ts";
import { reducedSize } from "../genotype/counts.ts";
import { findMethod } from "../methods/table.ts";
import { checkBudget } from "../search/budget.ts";
import { splitsFor } from "../search/splits.ts";
import type { SearchSpace } from "../space/declare-space.ts";
import { stemHalvings } from "../space/skeleton.ts";
import { DARTS_SPACE, findSpace } from "../space/spaces.ts";
import type { Intent } from "./plan.ts";
import { drawRandomCell } from "./random-cell.ts";
import { checkSelect } from "./select.ts";

/** Throws a {@link UserError} for what the kernels or a search method cannot do with the configuration: known without the data. */
export function checkConfig(config: Config, intent: Intent): void {
  for (const name of spacesOf(config, intent)) checkKernels(config, findSpace(name));
  if (!intent.searches) return;
  const { name, check, options, refusesSpace, endsEarly } = findMethod(config.search.method);
  const values = options.parse(config.search.options);
  checkSelect(config, { endsEarly: endsEarly?.(values) ?? false });
  const reason = refusesSpace?.(findSpace(config.space.name), values);
  if (reason !== undefined) {
    throw new UserError(`search.method is ${name}, and space.name is ${config.space.name}: ${reason}.`);
  }
  check?.(config, values);
}

/** The spaces of the networks that are computed. */
function spacesOf({ space }: Config, { searches, trains }: Intent): ReadonlySet<string> {
  const trained = trains === "found" ? space.name : trains && (trains.space ?? DARTS_SPACE.name);
  return new Set([...(searches ? [space.name] : []), ...(trained ? [trained] : [])]);
}

/** Throws where nothing but fused cells will do, and those of the space are not. */
function checkKernels(config: Config, { name, skeleton }: SearchSpace): void {
  const setting = fusedOnly(config);
  if (!setting || skeleton.inputs === 2) return;
  throw new UserError(
    `${setting.asked}, but space.name is ${name}: its cells read one cell, and the fused kernels take cells that read two. ` +
      `Set ${setting.advice}.`,
  );
}

/** Throws a {@link UserError} when there are too few images for the splits, too small ones for the network, or too small a budget, also for the random cells. */
export function checkData(
  config: Config,
  dataset: Pick<ImageDataset, "classes" | "train">,
  { searches, trains }: Intent,
): void {
  if (searches) splitsFor(config, dataset);
  // A random cell that is trained alone is held to the budget as well.
  const drawn = searches ? (trains ? config.train.randomCells : 0) : Number(trains === "found");
  if (searches || drawn > 0) checkBudget(config, dataset);
  for (let i = 1; i <= drawn; i++) drawRandomCell({ config, dataset }, i);
  if (!trains || !config.train.auxiliary) return;
  const name = trains === "found" ? config.space.name : (trains.space ?? DARTS_SPACE.name);
  checkAuxiliary(config, findSpace(name), dataset.train);
}

function checkAuxiliary({ train }: Config, { skeleton }: SearchSpace, { height, width }: Size): void {
  const { cells, stem } = train;
  const at = Math.floor((2 * cells) / 3);
  const reductions = new Set(skeleton.reductionsAt(cells).filter((place) => place <= at)).size;
  const name = stem === "imagenet" ? stem : skeleton.stem;
  const seen = reducedSize([height, width], reductions + stemHalvings(name));
  if (Math.min(...seen) >= 2) return;
  const other = stem === "imagenet" ? "train.stem to cifar, or " : "";
  throw new UserError(
    `Images of ${height}×${width} pixels are too small for the auxiliary head: it sees ${seen.join("×")}, ` +
      `expected at least 2×2. Set ${other}train.auxiliary to false, or use larger images.`,
  );
}
