// How many images each class has: what a run's log and report say of its data.
import type { ImageDataset, ImageSet } from "./dataset.ts";

/** What a run was given to learn from and to be measured on. */
export interface DataSummary {
  readonly name: string;
  readonly classes: readonly string[];
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  /** Mean and deviation of each channel with which the images were normalised. */
  readonly mean: readonly number[];
  readonly std: readonly number[];
  /** Training images of each class; test images of each class. */
  readonly train: readonly number[];
  readonly test: readonly number[];
  /** Training images of the largest class for each one of the smallest; null where a class has none at all. */
  readonly imbalance: number | null;
}

/** From this ratio on, classes are called imbalanced. */
const IMBALANCED = 2;
/** Classes that a line of text lists one by one. */
const LISTED = 20;

/** Counts the images of each class. */
export function summarize({ name, classes, mean, std, train, test }: ImageDataset): DataSummary {
  const { height, width, channels } = train;
  const counts = countLabels(train, classes.length);
  const fewest = Math.min(...counts);
  return {
    name,
    classes,
    height,
    width,
    channels,
    mean,
    std,
    train: counts,
    test: countLabels(test, classes.length),
    imbalance: fewest === 0 ? null : Math.max(...counts) / fewest,
  };
}

/** "train: cat 30, dog 10; test: cat 6, dog 2", cut after twenty classes. */
export function countsText({ classes, train, test }: DataSummary): string {
  const list = (counts: readonly number[]) => {
    const listed = counts.slice(0, LISTED).map((count, label) => `${classes[label]} ${count}`);
    return `${listed.join(", ")}${counts.length > LISTED ? `, … (${counts.length} classes)` : ""}`;
  };
  return `train: ${list(train)}; test: ${list(test)}`;
}

/** A sentence of warning for classes that are far from equally many; undefined where they are near. */
export function imbalanceWarning({ classes, train, imbalance }: DataSummary): string | undefined {
  if (imbalance !== null && imbalance < IMBALANCED) return undefined;
  const at = (count: number) => `${classes[train.indexOf(count)]} (${count})`;
  const [most, fewest] = [at(Math.max(...train)), at(Math.min(...train))];
  const ratio = imbalance === null ? "" : `, ${imbalance.toFixed(1)} times as many`;
  return (
    `Imbalanced classes: most training images are of ${most}, fewest of ${fewest}${ratio}. ` +
    "Accuracy then says most of the large classes; add images of the small ones."
  );
}

function countLabels({ labels }: ImageSet, classes: number): number[] {
  const counts = new Array<number>(classes).fill(0);
  for (const label of labels) counts[label]++;
  return counts;
}
