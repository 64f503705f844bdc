// The names of the candidate operations, in the published order (DARTS, ICLR 2019, and its code):
// the order is the column order of the alphas. `none` is a column of the softmax but never derived.
// Plugins add names of their own. Nothing here builds an operation: see operations.ts.
import type { Cost } from "../genotype/counts.ts";

/** The eight primitives of the DARTS search space, in the order of the published alphas. */
export const DARTS_PRIMITIVES = [
  "none",
  "max_pool_3x3",
  "avg_pool_3x3",
  "skip_connect",
  "sep_conv_3x3",
  "sep_conv_5x5",
  "dil_conv_3x3",
  "dil_conv_5x5",
] as const;

/**
 * Every operation known here: the DARTS primitives, the two of the NASNet genotypes, those of GDAS' fixed reduction, and
 * the convolutions of NAS-Bench-201.
 */
export const PRIMITIVES = [
  ...DARTS_PRIMITIVES,
  "sep_conv_7x7",
  "conv_7x1_1x7",
  "group_conv_3x1_1x3",
  "norm_max_pool_3x3",
  "nor_conv_1x1",
  "nor_conv_3x3",
] as const;

/** The published name of a candidate operation. */
export type PublishedPrimitive = (typeof PRIMITIVES)[number];

/** The name of a candidate operation, a published one or a plugin's. */
export type Primitive = PublishedPrimitive | (string & Record<never, never>);

/** An operation on one edge, as its cost is asked for; sizes are [height, width] in pixels. */
export interface EdgeShape {
  readonly channels: number;
  /** 1, or 2 on the edges of a reduction cell that read the cells before. */
  readonly stride: 1 | 2;
  /** Whether batch normalisation has scale and shift: in a derived network, but not in the supernet. */
  readonly affine: boolean;
  readonly inputSize: readonly [height: number, width: number];
  readonly outputSize: readonly [height: number, width: number];
}

/** What is known of a plugin's operation without building it. */
export interface AddedPrimitive {
  readonly name: string;
  /** Weights and multiply-adds for one image. */
  readonly cost: (edge: EdgeShape) => Cost;
  /** Colour of its edges in drawings, in CSS notation. */
  readonly colour: string;
}

/** Noise that knows nothing of its input (RobustDARTS' space S4): not one of the published eight, and free of cost. */
const NOISE: AddedPrimitive = { name: "noise", cost: () => ({ params: 0, macs: 0 }), colour: "#8a5a00" };

const added = new Map<string, AddedPrimitive>([[NOISE.name, NOISE]]);

/** Every candidate operation's name: the published ones, then those of plugins in the order of loading. */
export function primitiveNames(): readonly string[] {
  return [...PRIMITIVES, ...added.keys()];
}

/** Whether there is a candidate operation of that name. */
export function isPrimitive(name: unknown): name is Primitive {
  return typeof name === "string" && (isPublished(name) || added.has(name));
}

/** Whether the name is a published one. */
export function isPublished(name: string): name is PublishedPrimitive {
  return (PRIMITIVES as readonly string[]).includes(name);
}

/** What a plugin says of its operation; throws for a name that no plugin has added. */
export function addedPrimitive(name: string): AddedPrimitive {
  const primitive = added.get(name);
  if (!primitive) throw new RangeError(`there is no operation ${name}; load the plugin that adds it`);
  return primitive;
}

/** Operations that take memory, from the largest to the smallest. */
export const BY_MEMORY: readonly Primitive[] = [
  "sep_conv_7x7",
  "sep_conv_5x5",
  "sep_conv_3x3",
  "conv_7x1_1x7",
  "dil_conv_5x5",
  "dil_conv_3x3",
  "nor_conv_3x3",
  "nor_conv_1x1",
  "max_pool_3x3",
  "avg_pool_3x3",
  "noise",
  "skip_connect",
];

/** Adds a plugin's operation; its name must be free. */
export function addPrimitive(primitive: AddedPrimitive): void {
  added.set(primitive.name, primitive);
}
