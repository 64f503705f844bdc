// What a search method says about itself before anything is computed: its name and source, its options, the orders
// of steps that it defines, and its presets. Plain data without tensors, so that the configuration, its flags and
// the lists of presets know every method; what the method computes is in src/search.
import type { z } from "zod";
import type { Config, ConfigInput } from "../config/schema.ts";
import type { Genotype, Keeping } from "../genotype/genotype.ts";
import type { SearchSpace } from "../space/declare-space.ts";
import type { SoftmaxOver } from "./softmax-option.ts";

/** How alphas and weights take turns: see `search.order`. */
export type Order = Config["search"]["order"];

/** Where a method comes from. */
export interface MethodSource {
  /** Authors, title and venue. */
  readonly paper: string;
  /** arXiv number. */
  readonly arxiv?: string;
  /** Repository of the reference code. */
  readonly code?: string;
}

/** Settings of a method: a partial configuration over the schema's defaults. */
export interface MethodPreset {
  readonly description: string;
  readonly settings: ConfigInput;
  /** Where paper and released code differ, and what of the published run the settings cannot say. */
  readonly notes: readonly string[];
}

/** What cells a method derives: what can be said of them before any is found. */
export interface DerivedCells extends Keeping {
  /** Whether an edge may keep `none`. */
  readonly none?: boolean;
  /** The reduction cell, where it is not searched. */
  readonly fixed?: Pick<Genotype, "reduce" | "reduceConcat">;
}

/** A search method as data. */
export interface MethodDeclaration<Options extends z.ZodObject = z.ZodObject> {
  /** The word that `search.method` takes. */
  readonly name: string;
  readonly source: MethodSource;
  /** A strict schema of the method's own options, each with a default and a description: `search.options`. */
  readonly options: Options;
  /** The orders it defines; the first is its own, and what `search.order` is when it is not given. */
  readonly orders: readonly [Order, ...Order[]];
  /** Why it does not define the others, as the end of a sentence. */
  readonly refusals?: Readonly<Partial<Record<Order, string>>>;
  /** What competes in one softmax, where that is neither an option of it nor the operations of an edge. */
  readonly softmax?: SoftmaxOver;
  /** Why it has nothing to do in a space, as the end of a sentence; absent: it searches all. */
  readonly refusesSpace?: (space: SearchSpace, options: z.infer<Options>) => string | undefined;
  /** The cells that it derives; absent: two edges for each node of both. */
  readonly derives?: (options: z.infer<Options>) => DerivedCells;
  /** The epoch whose cell it takes, where that is not the last: what `search.select` is when it is not given. */
  readonly select?: Config["search"]["select"];
  /** Whether a rule of its own may end a search early, to go back to an epoch (`endEpoch`); absent: none does. */
  readonly endsEarly?: (options: z.infer<Options>) => boolean;
  /** A plugin's method has none. */
  readonly presets?: {
    /** Every hyper-parameter of the reference, its evaluation phase included. */
    readonly paper: MethodPreset;
    /** Minutes on two cores. */
    readonly quick: MethodPreset;
    /** Further published settings by the word that is put after the method's name. */
    readonly variants?: Readonly<Record<string, MethodPreset>>;
  };
  /** What is wrong with a configuration that the schema cannot see; throws a UserError. */
  readonly check?: (config: Config, options: z.infer<Options>) => void;
}

/** The values of a method's options. */
export type OptionsOf<Declaration extends { readonly options: z.ZodObject }> = z.infer<
  Declaration["options"]
>;

/** Every order, in the order of the schema: a method without refusals. */
export const EVERY_ORDER = ["first", "second", "joint", "alternating"] as const satisfies readonly Order[];
