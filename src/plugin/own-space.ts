// A plugin's search space as a row of the table, with the block of its own that may lie between its cells.
import type { Cost } from "../genotype/counts.ts";
import { type AddedNames, declareSpace, type SearchSpace } from "../space/declare-space.ts";
import type { BlockBuilder } from "../space/reduction-block.ts";
import type { BlockShape } from "../space/skeleton.ts";
import type { SpaceDefinition } from "./define.ts";
import { measuredCost } from "./measure.ts";
import { guarded } from "./own-operation.ts";

/** A block that is known by the name of its space. */
export interface OwnBlock {
  readonly builder: BlockBuilder;
  readonly cost: (shape: BlockShape) => Cost;
}

/** The row of a definition; throws a {@link UserError} for what does not go together. */
export function spaceOf({ skeleton, ...definition }: SpaceDefinition, added: AddedNames): SearchSpace {
  const { reduction, ...rest } = skeleton ?? {};
  const { name } = definition;
  const named = typeof reduction === "object" ? { reduction: name } : { ...(reduction && { reduction }) };
  const blocks = typeof reduction === "object" ? [name] : [];
  return declareSpace({ ...definition, skeleton: { ...rest, ...named } }, { ...added, blocks });
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
