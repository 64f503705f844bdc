// What a plugin is made of: definitions of operations, data sets, search spaces and search methods, typed, checked where they are
// made, and registered when the plugin is loaded.
import { z } from "zod";
import type { Normalisation } from "../data/augment.ts";
import type { ImageDataset } from "../data/dataset.ts";
import type { DataOptions } from "../data/entry.ts";
import { UserError } from "../errors.ts";
import type { Cost } from "../genotype/counts.ts";
import type { MethodDeclaration } from "../methods/declaration.ts";
import type { MethodContext, SearchMethod } from "../search/method.ts";
import type { SpaceDeclaration } from "../space/declare-space.ts";
import type { OperationBuilder } from "../space/operations.ts";
import type { EdgeShape } from "../space/primitives.ts";
import type { BlockBuilder } from "../space/reduction-block.ts";
import type { BlockShape, Skeleton, StemShape } from "../space/skeleton.ts";
import type { StemBuilder } from "../space/stem.ts";

/** A candidate operation of one's own. */
export interface OperationDefinition {
  /** Its name in `space.primitives` and in genotypes: letters, digits and `_`. */
  readonly name: string;
  /**
   * Builds it for an edge: a layer from [N, channels, H, W] to the same shape, or to half the height and width,
   * rounded up, at stride 2. `affine` says whether its batch normalisations shall have scale and shift.
   */
  readonly create: OperationBuilder;
  /**
   * Its weights and multiply-adds. Absent: measured by building it and passing one image through it, which counts
   * the multiply-adds of its Conv2d and Linear layers.
   */
  readonly cost?: (edge: EdgeShape) => Cost;
  /** Colour of its edges in drawings, in CSS notation (default: a dark red). */
  readonly colour?: string;
}

/** A data set of one's own; mean and deviation are computed from its training images where it does not give them. */
export interface DatasetDefinition {
  /** Its name, for `data.name`. */
  readonly name: string;
  /** One line for `darts data list`. */
  readonly description: string;
  /** Makes or reads it. What it does with the options is its own affair. */
  readonly load: (options: DataOptions) => LoadedImages | Promise<LoadedImages>;
}

/** What a plugin's data set gives. */
export type LoadedImages = Pick<ImageDataset, "classes" | "train" | "test"> & Partial<Normalisation>;

/** A search space of one's own: its cells, and the network that they stand in. */
export interface SpaceDefinition extends Omit<SpaceDeclaration, "skeleton"> {
  /** What of the network is not as in DARTS; `reduction` may be a block and `stem` a layer of one's own. */
  readonly skeleton?: Partial<Omit<Skeleton, "reduction" | "stem">> & {
    readonly reduction?: "cell" | "residual" | BlockDefinition;
    readonly stem?: "cifar" | "imagenet" | StemDefinition;
  };
}

/** What images pass before the first cell. */
export interface StemDefinition {
  /**
   * Builds it: a layer from [N, imageChannels, H, W] to [N, channels, H', W'], where `channels` are `stemMultiplier`
   * times the first cell's, and H' and W' are H and W halved `halvings` times, rounded up each time.
   */
  readonly create: StemBuilder;
  /** How often it halves height and width (default: not at all). */
  readonly halvings?: number;
  /** Its weights and multiply-adds. Absent: measured, as for an operation. */
  readonly cost?: (shape: StemShape) => Cost;
}

/** What halves height and width between cells, instead of a searched cell. */
export interface BlockDefinition {
  /**
   * Builds it: a layer from [N, inChannels, H, W] to [N, outChannels, H/2, W/2], rounded up; `outChannels` are twice
   * `inChannels`.
   */
  readonly create: BlockBuilder;
  /** Its weights and multiply-adds. Absent: measured, as for an operation. */
  readonly cost?: (shape: BlockShape) => Cost;
}

/** A search method of one's own. */
export interface MethodDefinition {
  /** Its name, for `search.method`. */
  readonly name: string;
  /** Where it is described. */
  readonly paper: string;
  /** A strict zod schema of its own options, each with a default: `search.options` (default: it has none). */
  readonly options?: z.ZodObject;
  /** The orders of steps that it defines, its own first (default: all). */
  readonly orders?: MethodDeclaration["orders"];
  readonly create: (context: MethodContext, options: Readonly<Record<string, unknown>>) => SearchMethod;
}

/** Builds the schemas of a method's own options: zod, as this library has it. */
export const schema = z;

/** Anything that a plugin adds. */
export type Definition =
  | (OperationDefinition & { readonly kind: "operation" })
  | (DatasetDefinition & { readonly kind: "data set" })
  | (SpaceDefinition & { readonly kind: "search space" })
  | (MethodDefinition & { readonly kind: "search method" });

/** Made here and nowhere else: how a plugin's exports are told from what else it exports. */
const definitions = new WeakSet<object>();

/** Defines a candidate operation. Throws a {@link UserError} for a field that is missing or of another type. */
export function defineOperation(definition: OperationDefinition): Definition {
  requireFields("defineOperation", definition, { name: "string", create: "function" });
  requireFields("defineOperation", definition, { cost: "function", colour: "string" }, true);
  return define({ kind: "operation", ...definition });
}

/** Defines a data set. Throws a {@link UserError} for a field that is missing or of another type. */
export function defineDataset(definition: DatasetDefinition): Definition {
  requireFields("defineDataset", definition, { name: "string", description: "string", load: "function" });
  return define({ kind: "data set", ...definition });
}

/** Defines a search space. Throws a {@link UserError} for a field that is missing or of another type. */
export function defineSpace(definition: SpaceDefinition): Definition {
  requireFields("defineSpace", definition, { name: "string", paper: "string", primitives: "object" });
  const block = definition.skeleton?.reduction;
  if (typeof block === "object")
    requireFields("defineSpace, skeleton.reduction", block, { create: "function" });
  const stem = definition.skeleton?.stem;
  if (typeof stem === "object") {
    requireFields("defineSpace, skeleton.stem", stem, { create: "function" });
    const { halvings = 0 } = stem;
    if (!Number.isInteger(halvings) || halvings < 0)
      throw new UserError(
        `defineSpace, skeleton.stem: halvings is ${String(halvings)}, expected a whole number, at least 0.`,
      );
  }
  return define({ kind: "search space", ...definition });
}

/** Defines a search method. Throws a {@link UserError} for a field that is missing or of another type. */
export function defineMethod(definition: MethodDefinition): Definition {
  requireFields("defineMethod", definition, { name: "string", paper: "string", create: "function" });
  return define({ kind: "search method", ...definition });
}

/** Whether a value was made by one of the functions above. */
export function isDefinition(value: unknown): value is Definition {
  return typeof value === "object" && value !== null && definitions.has(value);
}

function define(definition: Definition): Definition {
  const { kind, name } = definition;
  const [pattern, words] =
    kind === "operation" ? [/^[A-Za-z_]\w*$/, "digits and _"] : [/^[A-Za-z][\w-]*$/, "digits, _ and -"];
  if (!pattern.test(name)) {
    throw new UserError(
      `The ${kind} has the name ${JSON.stringify(name)}; expected a letter, then letters, ${words}.`,
    );
  }
  definitions.add(definition);
  return definition;
}

/** Types are not checked when a plugin is loaded: what its author's editor would have said is said here. */
function requireFields(
  where: string,
  definition: unknown,
  fields: Readonly<Record<string, "string" | "function" | "object">>,
  optional = false,
): void {
  const got = definition as Readonly<Record<string, unknown>> | null | undefined;
  if (typeof got !== "object" || got === null) {
    throw new UserError(
      `${where}: got ${String(got)}, expected an object with ${Object.keys(fields).join(", ")}.`,
    );
  }
  for (const [field, type] of Object.entries(fields)) {
    if ((optional && got[field] === undefined) || typeof got[field] === type) continue;
    throw new UserError(
      `${where}: ${field} is ${typeof got[field]}, expected ${type === "object" ? "a list" : `a ${type}`}.`,
    );
  }
}
