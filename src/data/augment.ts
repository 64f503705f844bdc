// From bytes to the network's input. Training images get the augmentation of DARTS: random crop after zero
// padding, mirror, normalisation, Cutout (arXiv:1708.04552). Padding is black before normalisation, Cutout is
// zero after it, as in the original code. An odd Cutout side is kept exactly; the original rounds it down.
import type { Generator } from "../random/generator.ts";
import { jitterColors } from "./color-jitter.ts";
import type { ImageSet } from "./dataset.ts";
import { drawRegion, enlarge } from "./resized-crop.ts";

/** What is done to training images. */
export interface Augmentation {
  /** `padded` (the default): of the padded image, by `cropPadding`; `resized`: see resized-crop.ts. */
  readonly crop?: "padded" | "resized";
  /** Strength of {@link jitterColors}; 0 (the default): none. */
  readonly colorJitter?: number;
  /** Pixels of zero padding before the random crop; 0: no crop. */
  readonly cropPadding: number;
  /** Whether half of the images are mirrored. */
  readonly flip: boolean;
  /** Side of the square set to zero; 0: none. */
  readonly cutout: number;
}

/** Mean and standard deviation of each channel, pixels scaled to 0…1. */
export interface Normalisation {
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** Writes image `index` of the set as [channels, height, width] into `target` at `offset`. */
export type Transform = (index: number, target: Float32Array, offset: number, generator: Generator) => void;

/**
 * The transform of `set`: augmented for training, or with null only normalised, for evaluation.
 * Numbers are drawn in the order: crop (top, left, or those of the resized one), flip, colours, Cutout centre row,
 * centre column; nothing is drawn for a step that is off.
 */
export function createTransform(
  set: ImageSet,
  { mean, std }: Normalisation,
  augmentation: Augmentation | null,
): Transform {
  const { cropPadding: padding, flip, cutout } = augmentation ?? { cropPadding: 0, flip: false, cutout: 0 };
  if (augmentation && (augmentation.crop === "resized" || augmentation.colorJitter)) {
    return createPixelTransform(set, { mean, std }, augmentation);
  }
  const { images, channels, height, width } = set;
  const plane = height * width;
  // 256 values for each channel: normalising is one look-up.
  const tables = Array.from({ length: channels }, (_, c) =>
    Float32Array.from({ length: 256 }, (_, value) => (value / 255 - mean[c]) / std[c]),
  );

  return (index, target, offset, generator) => {
    const top = padding > 0 ? generator.int(0, 2 * padding) - padding : 0;
    const left = padding > 0 ? generator.int(0, 2 * padding) - padding : 0;
    const mirrored = flip && generator.uniform() < 0.5;
    // Columns of the crop that lie on the image; the others, and rows outside, are padding.
    const from = Math.max(0, -left);
    const end = Math.max(from, Math.min(width, width - left));
    const step = mirrored ? -1 : 1;
    for (let c = 0; c < channels; c++) {
      const table = tables[c];
      const black = table[0];
      const source = (index * channels + c) * plane;
      const channel = offset + c * plane;
      for (let y = 0; y < height; y++) {
        const row = channel + y * width;
        const sourceY = y + top;
        if (sourceY < 0 || sourceY >= height) {
          target.fill(black, row, row + width);
          continue;
        }
        if (end - from < width) target.fill(black, row, row + width);
        let at = row + (mirrored ? width - 1 - from : from);
        const last = source + sourceY * width + left + end;
        for (let i = source + sourceY * width + left + from; i < last; i++) {
          target[at] = table[images[i]];
          at += step;
        }
      }
    }
    if (cutout > 0) cut(set, cutout, target, offset, generator);
  };
}

/** The transform with steps that need the pixels as numbers before they are normalised. */
function createPixelTransform(
  set: ImageSet,
  { mean, std }: Normalisation,
  { crop = "padded", colorJitter = 0, cropPadding, flip, cutout }: Augmentation,
): Transform {
  const { channels, height, width } = set;
  const pixels = height * width;
  const image = new Float32Array(channels * pixels);
  return (index, target, offset, generator) => {
    if (crop === "resized") enlarge(set, index, drawRegion(height, width, generator), image);
    else cropPadded(set, index, cropPadding, image, generator);
    const mirrored = flip && generator.uniform() < 0.5;
    if (colorJitter > 0) jitterColors(image, { channels, pixels }, colorJitter, generator);
    for (let c = 0; c < channels; c++) {
      const [shift, scale] = [mean[c]!, std[c]!];
      for (let i = 0; i < pixels; i++) {
        const column = i % width;
        const from = mirrored ? i - column + width - 1 - column : i;
        target[offset + c * pixels + i] = (image[c * pixels + from]! / 255 - shift) / scale;
      }
    }
    if (cutout > 0) cut(set, cutout, target, offset, generator);
  };
}

/** The image moved by up to `padding` pixels, black where it came from. */
function cropPadded(
  { images, channels, height, width }: ImageSet,
  index: number,
  padding: number,
  target: Float32Array,
  generator: Generator,
): void {
  const top = padding > 0 ? generator.int(0, 2 * padding) - padding : 0;
  const left = padding > 0 ? generator.int(0, 2 * padding) - padding : 0;
  target.fill(0);
  for (let c = 0; c < channels; c++) {
    for (let y = Math.max(0, -top); y < Math.min(height, height - top); y++) {
      for (let x = Math.max(0, -left); x < Math.min(width, width - left); x++) {
        const from = ((index * channels + c) * height + y + top) * width + x + left;
        target[(c * height + y) * width + x] = images[from]!;
      }
    }
  }
}

/** Zeroes a square whose centre is uniform over the pixels and which the borders clip. */
function cut(set: ImageSet, side: number, target: Float32Array, offset: number, generator: Generator): void {
  const { channels, height, width } = set;
  const y = generator.int(0, height - 1) - (side >> 1);
  const x = generator.int(0, width - 1) - (side >> 1);
  const [top, bottom] = [Math.max(0, y), Math.min(height, y + side)];
  const [left, right] = [Math.max(0, x), Math.min(width, x + side)];
  for (let c = 0; c < channels; c++) {
    for (let row = top; row < bottom; row++) {
      const start = offset + (c * height + row) * width;
      target.fill(0, start + left, start + right);
    }
  }
}
