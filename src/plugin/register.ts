// Puts definitions into the tables that configurations choose from.
import { z } from "zod";
import { addDataset, DATASETS } from "../data/datasets.ts";
import { UserError } from "../errors.ts";
import { EVERY_ORDER } from "../methods/declaration.ts";
import { declaredMethods } from "../methods/table.ts";
import { registerMethod } from "../search/methods.ts";
import { addOperation } from "../space/operations.ts";
import { addPrimitive, type EdgeShape, isPrimitive } from "../space/primitives.ts";
import { addBlock } from "../space/reduction-block.ts";
import { addBlockCost, addStemFacts, isBlock, isStem } from "../space/skeleton.ts";
import { addSpace, isSpace } from "../space/spaces.ts";
import { addStem } from "../space/stem.ts";
import type { Definition } from "./define.ts";
import { measuredCost } from "./measure.ts";
import { datasetEntryOf } from "./own-dataset.ts";
import { builderOf } from "./own-operation.ts";
import { blockOf, spaceOf, stemOf } from "./own-space.ts";

const COLOUR = "#9b1c31";

/**
 * Makes definitions known by their names, as loading a plugin does: all of them or, where a name is taken or a space is
 * wrong, none. Throws a {@link UserError} that says which.
 */
export function register(...definitions: readonly Definition[]): void {
  const taken = definitions.find(({ kind, name }, i) => {
    return (
      isTaken(kind, name) || definitions.slice(0, i).some((one) => one.kind === kind && one.name === name)
    );
  });
  if (taken) {
    throw new UserError(
      `There is ${taken.kind === "operation" ? "an" : "a"} ${taken.kind} named ${taken.name} already; give yours another name.`,
    );
  }
  // Operations first: spaces may name them.
  const spaces = definitions.filter((definition) => definition.kind === "search space");
  const primitives = definitions.filter(({ kind }) => kind === "operation").map(({ name }) => name);
  const declared = spaces.map(({ kind: _, ...space }) => spaceOf(space, { primitives }));
  for (const definition of definitions) add(definition);
  for (const [i, space] of declared.entries()) {
    const block = blockOf(spaces[i]!);
    if (block) {
      addBlock(space.name, block.builder);
      addBlockCost(space.name, block.cost);
    }
    const stem = stemOf(spaces[i]!);
    if (stem) {
      addStem(space.name, stem.builder);
      addStemFacts(space.name, stem.facts);
    }
    addSpace(space);
  }
}

function isTaken(kind: Definition["kind"], name: string): boolean {
  if (kind === "operation") return isPrimitive(name);
  if (kind === "data set") return Object.hasOwn(DATASETS, name);
  // Its block and its stem, if it has them, go by its name.
  if (kind === "search space") return isSpace(name) || isBlock(name) || isStem(name);
  return declaredMethods().some((method) => method.name === name);
}

function add(definition: Definition): void {
  switch (definition.kind) {
    case "operation": {
      const create = builderOf(definition);
      const measured = measuredCost<EdgeShape>(
        ({ channels, stride, affine }) => create(channels, stride, affine),
        ({ channels, inputSize }) => ({ channels, size: inputSize }),
      );
      const { name, cost = measured, colour = COLOUR } = definition;
      addOperation(name, create);
      addPrimitive({ name, cost, colour });
      break;
    }
    case "data set":
      addDataset(datasetEntryOf(definition));
      break;
    case "search space":
      break; // known once the operations are
    case "search method": {
      const { name, paper, options = z.strictObject({}), orders = EVERY_ORDER, create } = definition;
      registerMethod({ name, source: { paper }, options, orders }, create);
    }
  }
}
