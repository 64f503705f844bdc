// A random part of an image, resized to the image's size: how networks for ImageNet are trained (Szegedy et al., CVPR
// 2015). A part covers 8 to 100 % of the area, with sides in a ratio of 3/4 to 4/3.
import type { Generator } from "../random/generator.ts";
import type { ImageSet } from "./dataset.ts";

/** A rectangle of pixels. */
export interface Region {
  readonly top: number;
  readonly left: number;
  readonly height: number;
  readonly width: number;
}

const AREA: readonly [number, number] = [0.08, 1];
const LOG_RATIO: readonly [number, number] = [Math.log(3 / 4), Math.log(4 / 3)];
const ATTEMPTS = 10;

/**
 * Draws area and ratio until the part fits, ten times at most, and then its place; else it is the whole image. Numbers
 * are drawn in the order: area, ratio (each time), top, left.
 */
export function drawRegion(height: number, width: number, generator: Generator): Region {
  const between = ([low, high]: readonly [number, number]) => low + (high - low) * generator.uniform();
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const area = height * width * between(AREA);
    const ratio = Math.exp(between(LOG_RATIO));
    const [h, w] = [Math.round(Math.sqrt(area / ratio)), Math.round(Math.sqrt(area * ratio))];
    if (h < 1 || w < 1 || h > height || w > width) continue;
    const top = generator.int(0, height - h);
    const left = generator.int(0, width - w);
    return { top, left, height: h, width: w };
  }
  return { top: 0, left: 0, height, width };
}

/** Writes the region of image `index`, enlarged to the whole size by bilinear interpolation, as [C, H, W], 0…255. */
export function enlarge(set: ImageSet, index: number, region: Region, target: Float32Array): void {
  const { images, channels, height, width } = set;
  const columns = samples(region.left, region.width, width);
  const rows = samples(region.top, region.height, height);
  for (let c = 0; c < channels; c++) {
    const plane = (index * channels + c) * height * width;
    for (let y = 0; y < height; y++) {
      const [upper, lower, down] = rows[y]!;
      const [above, below] = [plane + upper * width, plane + lower * width];
      for (let x = 0; x < width; x++) {
        const [l, r, right] = columns[x]!;
        const top = images[above + l]! + (images[above + r]! - images[above + l]!) * right;
        const bottom = images[below + l]! + (images[below + r]! - images[below + l]!) * right;
        target[(c * height + y) * width + x] = top + (bottom - top) * down;
      }
    }
  }
}

/** For each of `size` output pixels its two neighbours within the region and the second one's weight; centres on centres. */
function samples(start: number, length: number, size: number): [number, number, number][] {
  return Array.from({ length: size }, (_, i) => {
    const at = Math.min(length - 1, Math.max(0, ((i + 0.5) * length) / size - 0.5));
    const first = Math.floor(at);
    return [start + first, start + Math.min(first + 1, length - 1), at - first];
  });
}
