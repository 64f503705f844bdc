// Puts definitions into the tables that configurations choose from.
import { z } from "zod";
import { addDataset, DATASETS } from "../data/datasets.ts";
import { UserError } from "../errors.ts";
import { EVERY_ORDER } from "../methods/declaration.ts";
import { declaredMethods } from "../methods/table.ts";
import { registerMethod } from "../search/methods.ts";
import { addOperation } from "../space/operations.ts";
import { addPrimitive, isPrimitive } from "../space/primitives.ts";
import type { Definition } from "./define.ts";
import { measuredCost } from "./measure.ts";
import { datasetEntryOf } from "./own-dataset.ts";
import { builderOf } from "./own-operation.ts";

const COLOUR = "#9b1c31";

/**
 * Makes definitions known by their names, as loading a plugin does: all of them or, where a name is taken, none.
 * Throws a {@link UserError} that names the one whose name is taken.
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
  for (const definition of definitions) add(definition);
}

function isTaken(kind: Definition["kind"], name: string): boolean {
  if (kind === "operation") return isPrimitive(name);
  if (kind === "data set") return Object.hasOwn(DATASETS, name);
  return declaredMethods().some((method) => method.name === name);
}

function add(definition: Definition): void {
  switch (definition.kind) {
    case "operation": {
      const create = builderOf(definition);
      const { name, cost = measuredCost(create), colour = COLOUR } = definition;
      addOperation(name, create);
      addPrimitive({ name, cost, colour });
      break;
    }
    case "data set":
      addDataset(datasetEntryOf(definition));
      break;
    case "search method": {
      const { name, paper, options = z.strictObject({}), orders = EVERY_ORDER, create } = definition;
      registerMethod({ name, source: { paper }, options, orders }, create);
    }
  }
}
