// Settings that the methods' presets share: the CIFAR-10 protocol of DARTS, which most of them keep, and a search of
// minutes. A method's preset says over them what its own paper or code says otherwise.
import { CODE, settingsOf } from "../config/published-settings.ts";
import type { ConfigInput } from "../config/schema.ts";

/** What a method's preset says otherwise. */
type Otherwise = Pick<ConfigInput, "space" | "search" | "train">;

/** Keys in which a method does not follow DARTS: they are its own, or have a default that it may declare. */
const OWN = ["search.method", "search.order", "search.select"];
/** Keys that are as without a preset. */
const LEFT_OUT = ["space.name", "search.microBatch", "train.microBatch"];

const protocol = settingsOf(
  Object.fromEntries(Object.entries(CODE).filter(([path]) => ![...OWN, ...LEFT_OUT].includes(path))),
);

/** The search and the training of DARTS on CIFAR-10 by its released code, but for what is said otherwise. */
export function publishedSettings({ space, search, train }: Otherwise): ConfigInput {
  return {
    ...protocol,
    space: { ...protocol.space, ...space },
    search: { ...protocol.search, ...search },
    train: { ...protocol.train, ...train },
  };
}

/** A small search and a short training of a small network on part of CIFAR-10, but for what is said otherwise. */
export function quickSettings({ space, search }: Omit<Otherwise, "train">): ConfigInput {
  return {
    data: { name: "cifar10", trainImages: 12_800 },
    ...(space && { space }),
    search: {
      trainImages: 4096,
      channels: 16,
      cells: 5,
      epochs: 4,
      batchSize: 32,
      // Few steps: the alphas must move further in each to leave their start.
      archLearningRate: 3e-3,
      ...search,
    },
    train: {
      channels: 8,
      cells: 5,
      epochs: 6,
      batchSize: 64,
      cutout: 0,
      dropPath: 0,
      auxiliary: false,
      randomCells: 2,
    },
  };
}
