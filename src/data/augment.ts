// From bytes to the network's input. Training images get the augmentation of DARTS: random crop after zero
// padding, mirror, normalisation, Cutout (arXiv:1708.04552). Padding is black before normalisation, Cutout is
// zero after it, as in the original code. An odd Cutout side is kept exactly; the original rounds it down.
import type { Generator } from "../random/generator.ts";
import type { ImageSet } from "./dataset.ts";

/** What is done to training images. */
export interface Augmentation {
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
 * Numbers are drawn in the order: crop top, crop left, flip, Cutout centre row, centre column; nothing is
 * drawn for a step that is off.
 */
export function createTransform(
  set: ImageSet,
  { mean, std }: Normalisation,
  augmentation: Augmentation | null,
): Transform {
  const { cropPadding: padding, flip, cutout } = augmentation ?? { cropPadding: 0, flip: false, cutout: 0 };
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
