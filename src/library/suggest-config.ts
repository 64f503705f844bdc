// Settings for a folder of images, as a YAML file with a reason beside each: what `darts init` writes.
// The budget is that of some ten minutes for the search and ten for each training on two CPU cores, by the speed of
// the quick preset there: what one would try first, not what is best.
import { stringify } from "yaml";
import type { Inspection } from "./inspect-images.ts";

/** Seconds that the search, and each training, may take. */
const BUDGET = 600;
/** Training images of 32×32 a second on two cores: that of the quick preset's search, and of a training twice as wide. */
const SEARCHED = 160;
const TRAINED = 130;
/** No side is made longer: a search is for cells, and small images rank them as well. */
const LONGEST = 64;

interface Choice<T> {
  readonly value: T;
  readonly reason: string;
}

/** The text of a configuration file for those images, which `darts run --config` takes as it is. */
export function suggestConfig(images: Inspection): string {
  const count = sum(images.train);
  const size = chooseSize(images);
  const { height, width } = size.value;
  const area = (height * width) / 1024;
  const searchBatch = chooseBatch(count / 2);
  const trainBatch = chooseBatch(count);
  const search = chooseEpochs(count, SEARCHED / area, [3, 50]);
  const train = chooseEpochs(count, TRAINED / area, [5, 100]);
  const channels = chooseChannels(images);
  const asked = size.value.resized
    ? [`  imageSize: ${height} # ${size.reason}`, ...(width === height ? [] : [`  imageWidth: ${width}`])]
    : [`  imageSize: null # ${size.reason}`];
  const flip = "mirrors half of the images: false where left and right differ, as in text and digits";
  return `${[
    ...describe(images),
    "# Run it with: darts run --config FILE. Every key: darts presets paper",
    "",
    "data:",
    "  name: folder",
    `  path: ${stringify(images.path).trim()} # as seen from where darts is started`,
    ...asked,
    `  channels: ${channels.value} # ${channels.reason}`,
    ...splitLines(images),
    `  cropPadding: ${Math.max(1, Math.round(Math.min(height, width) / 8))} # an eighth of the side, as 4 of 32 in the paper`,
    `  flip: true # ${flip}`,
    "",
    "search:",
    "  channels: 16 # the paper's",
    "  cells: 5 # the paper has 8: five keep both reductions and take half the time",
    `  epochs: ${search.value} # ${search.reason}`,
    `  batchSize: ${searchBatch.value} # ${searchBatch.reason}`,
    "  archLearningRate: 0.003 # ten times the paper's: in few steps the alphas must move further in each",
    "",
    "train:",
    "  channels: 16",
    "  cells: 5 # the paper has 36 channels and 20 cells, for days on a GPU",
    `  epochs: ${train.value} # ${train.reason}`,
    `  batchSize: ${trainBatch.value} # ${trainBatch.reason}`,
    `  cutout: ${Math.round(Math.min(height, width) / 2)} # half of the side, as 16 of 32 in the paper`,
    "  dropPath: 0 # 0.2 in the paper, for 600 epochs",
    "  auxiliary: false # worth its cost in deep networks only",
    "  randomCells: 1 # the baseline: a random cell, trained alike",
  ].join("\n")}\n`;
}

function describe({ path, classes, train, test, sizes, grey, colour, alpha }: Inspection): string[] {
  const most = Math.max(...train);
  const fewest = Math.min(...train);
  const listed = classes.slice(0, 20).map((name, label) => `#   ${name}: ${train[label]} + ${test[label]}`);
  const seen = sizes.slice(0, 5).map(({ height, width, count }) => `${height}×${width} (${count})`);
  const ratio = most / fewest;
  return [
    `# Settings for the images in ${path}, made by darts init.`,
    `# ${sum(train)} images to train on and ${sum(test)} to test with, of ${classes.length} classes:`,
    ...listed,
    ...(classes.length > 20 ? [`#   … and ${classes.length - 20} more classes`] : []),
    ...(ratio >= 2
      ? [`# Imbalanced: the largest class has ${ratio.toFixed(1)} times as many as the smallest.`]
      : []),
    `# Height × width: ${seen.join(", ")}${sizes.length > 5 ? `, … (${sizes.length} sizes)` : ""}`,
    `# ${grey} grey, ${colour} in colour, ${alpha} with an alpha channel`,
  ];
}

function splitLines({ split, valid }: Inspection): string[] {
  if (!split) return ["  testShare: 0.2 # of each class: there are no train/ and test/ folders"];
  return valid ? ["  # valid/ moves the architecture in the search, train/ trains the weights"] : [];
}

/** The median image's size, unless it is too large for a first search; without a change where all are alike. */
function chooseSize({ sizes }: Inspection): Choice<{ height: number; width: number; resized: boolean }> {
  const [only] = sizes;
  if (sizes.length === 1 && Math.max(only.height, only.width) <= LONGEST) {
    return {
      value: { ...only, resized: false },
      reason: `all images are ${only.height}×${only.width}: as they are`,
    };
  }
  const height = median(sizes.map((size) => [size.height, size.count]));
  const width = median(sizes.map((size) => [size.width, size.count]));
  const scale = Math.min(1, LONGEST / Math.max(height, width));
  const side = (length: number) => Math.max(8, 8 * Math.round((length * scale) / 8));
  // Nearly square images are made square: a few pixels more or less stretch nothing that matters.
  const square = Math.max(height, width) / Math.min(height, width) < 1.3;
  const [tall, wide] = square
    ? [side(Math.min(height, width)), side(Math.min(height, width))]
    : [side(height), side(width)];
  return {
    value: { height: tall, width: wide, resized: true },
    reason: `height${square ? " and width" : ""}: the median image is ${height}×${width}${scale < 1 ? `, and more than ${LONGEST} pixels a side cost more than they show` : ""}`,
  };
}

function chooseChannels({ grey, colour }: Inspection): Choice<1 | 3> {
  if (colour === 0) return { value: 1, reason: "all images are grey" };
  const mixed =
    grey === 0 ? "all images have colour" : `${grey} grey images are made RGB like the other ${colour}`;
  return { value: 3, reason: mixed };
}

/** Enough steps an epoch to learn from, and batches large enough for batch normalisation. */
function chooseBatch(images: number): Choice<number> {
  const fitting = 2 ** Math.floor(Math.log2(Math.max(1, images / 20)));
  const value = Math.min(64, Math.max(8, fitting), Math.max(1, Math.floor(images)));
  return { value, reason: `${Math.ceil(images / value)} steps an epoch of ${Math.floor(images)} images` };
}

function chooseEpochs(images: number, perSecond: number, [least, most]: [number, number]): Choice<number> {
  const affordable = Math.floor((BUDGET * perSecond) / images);
  const value = Math.min(most, Math.max(least, affordable));
  const minutes = (value * images) / perSecond / 60;
  return {
    value,
    reason: `about ${minutes < 1 ? "1 minute" : `${Math.round(minutes)} minutes`} on two CPU cores`,
  };
}

/** Of values with how often each occurs. */
function median(values: readonly (readonly [value: number, count: number])[]): number {
  const sorted = [...values].sort(([a], [b]) => a - b);
  const half = sum(sorted.map(([, count]) => count)) / 2;
  let seen = 0;
  for (const [value, count] of sorted) {
    seen += count;
    if (seen >= half) return value;
  }
  throw new RangeError("no values, so no median");
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}
