// A plugin's search space as a row of the table, with the stem of its own and the block that may lie between its cells.
import type { Cost } from "../genotype/counts.ts";
import { type AddedNames, declareSpace, type SearchSpace } from "../space/declare-space.ts";
import type { BlockBuilder } from "../space/reduction-block.ts";
import type { BlockShape, StemFacts, StemShape } from "../space/skeleton.ts";
import type { StemBuilder } from "../space/stem.ts";
import type { SpaceDefinition } from "./define.ts";
import { measuredCost } from "./measure.ts";
import { guarded } from "./own-operation.ts";

/** A block that is known by the name of its space. */
export interface OwnBlock {
  readonly builder: BlockBuilder;
  readonly cost: (shape: BlockShape) => Cost;
}

/** The row of a definition; throws a {@link UserError} for what does not go together. */
export function spaceOf(
  { skeleton, ...definition }: SpaceDefinition,
  added: Pick<AddedNames, "primitives">,
): SearchSpace {
  const { reduction, stem, ...rest } = skeleton ?? {};
  const { name } = definition;
  const ownBlock = typeof reduction === "object";
  const ownStem = typeof stem === "object";
  const named = {
    ...(reduction && { reduction: ownBlock ? name : reduction }),
    ...(stem && { stem: ownStem ? name : stem }),
  };
  const names = { ...added, blocks: ownBlock ? [name] : [], stems: ownStem ? [name] : [] };
  return declareSpace({ ...definition, skeleton: { ...rest, ...named } }, names);
}

/** The block of a definition that has one of its own; its layers say by the space's name what is wrong with them. */
export function blockOf({ name, skeleton }: SpaceDefinition): OwnBlock | undefined {
  const block = skeleton?.reduction;
  if (typeof block !== "object") return undefined;
  const what = `The reduction block of the space ${name}`;
  const builder: BlockBuilder = (inChannels, outChannels) =>
    guarded(block.create(inChannels, outChannels), { what, stride: 2, channels: outChannels });
  const measured = measuredCost<BlockShape>(
    ({ inChannels, outChannels }) => builder(inChannels, outChannels),
    ({ inChannels, inputSize }) => ({ channels: inChannels, size: inputSize }),
  );
  return { builder, cost: block.cost ?? measured };
}

/** A stem that is known by the name of its space. */
export interface OwnStem {
  readonly builder: StemBuilder;
  readonly facts: StemFacts;
}

/** The stem of a definition that has one of its own; its layers say by the space's name what is wrong with them. */
export function stemOf({ name, skeleton }: SpaceDefinition): OwnStem | undefined {
  const stem = skeleton?.stem;
  if (typeof stem !== "object") return undefined;
  const { create, halvings = 0 } = stem;
  const what = `The stem of the space ${name}`;
  const builder: StemBuilder = (imageChannels, channels) =>
    guarded(create(imageChannels, channels), { what, stride: 2 ** halvings, channels });
  const measured = measuredCost<StemShape>(
    ({ imageChannels, outChannels }) => builder(imageChannels, outChannels),
    ({ imageChannels, imageSize }) => ({ channels: imageChannels, size: imageSize }),
  );
  return { builder, facts: { halvings, cost: stem.cost ?? measured } };
}
