// Puts definitions into the tables that configurations choose from.
import { addDataset, DATASETS } from "../data/datasets.ts";
import { UserError } from "../errors.ts";
import { addMethod, METHODS } from "../search/methods.ts";
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
  return Object.hasOwn(kind === "data set" ? DATASETS : METHODS, name);
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
      const { name, paper, create } = definition;
      addMethod(name, { paper, create });
    }
  }
}
