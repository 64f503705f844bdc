// Our side of `bench methods`: steps of the product's own search, batches and augmentation included, on noise images of
// CIFAR-10's shape, at the published settings of each method.
import { resolveConfig } from "../src/config/load.ts";
import type { Config } from "../src/config/schema.ts";
import type { Order } from "../src/methods/declaration.ts";
import { noise, rehearsedShapes } from "../src/run/rehearse.ts";
import { Search } from "../src/search/search.ts";
import { isOneLevel } from "../src/search/splits.ts";
import { type MethodRequest, type MethodStep, REFERENCE } from "./method-names.ts";
import type { Size } from "./work-names.ts";
import type { Step } from "./works.ts";

const CIFAR = {
  name: "noise",
  classes: Array.from({ length: 10 }, (_, c) => `class ${c}`),
  mean: [0.5, 0.5, 0.5],
  std: [0.25, 0.25, 0.25],
  train: { channels: 3, height: 32, width: 32 },
};
const STEPS_AN_EPOCH = 4;

/** Every step of these methods: in their preset's order, the reference's in second order too, in each of their shapes. */
export function methodSteps(methods: readonly string[]): MethodStep[] {
  return methods.flatMap((method) => {
    const orders = method === REFERENCE.method ? (["first", "second"] as const) : [publishedOrder(method)];
    return orders.flatMap((order) => {
      const shapes = rehearsedShapes(configOf(method, order), CIFAR);
      return shapes.map(({ cells, batchSize, candidates }, shape) => ({
        method,
        order,
        shape,
        shapes: shapes.length,
        cells,
        batch: batchSize,
        operations: candidates.normal.flat().length,
      }));
    });
  });
}

/** Sizes that differ from the preset's. */
export type Sizes = Pick<Size, "batch" | "channels" | "cells">;

/** A step of {@link methodSearch}. */
export function methodStep(request: Omit<MethodRequest, "work" | "threads">, sizes: Sizes = {}): Step {
  const search = methodSearch(request, sizes);
  return () => {
    if (search.step === search.stepsPerEpoch) search.step = 0;
    const { trainLoss, archLoss } = search.runStep();
    return trainLoss + (archLoss ?? 0);
  };
}

/** A search in its last epoch: alphas move, and what fades in is there. */
export function methodSearch(
  { method, order, shape }: Omit<MethodRequest, "work" | "threads">,
  { batch, ...sizes }: Sizes = {},
): Search {
  const published = configOf(method, order);
  const batchSize = batch ?? rehearsedShapes(published, CIFAR)[shape]!.batchSize;
  const config = { ...published, search: { ...published.search, ...sizes, batchSize } };
  const images = batchSize * STEPS_AN_EPOCH * (isOneLevel(config) ? 1 : 2);
  const search = new Search(config, noise(CIFAR, images), { rehearsal: shape });
  search.epoch = config.search.epochs - 1;
  return search;
}

/** The method's `paper` preset, with alphas that move from the first epoch on. */
function configOf(method: string, order: Order): Config {
  const config = resolveConfig({
    preset: method,
    flags: { "search.order": order, "search.archFromEpoch": 0 },
  });
  return { ...config, data: { ...config.data, weightsShare: 0.5 } };
}

function publishedOrder(method: string): Order {
  return resolveConfig({ preset: method }).search.order;
}
