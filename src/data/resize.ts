// Bilinear resizing with antialiasing, as image libraries do it: one pass over rows, one over columns, with a
// triangle filter. When shrinking, the triangle is widened by the scale, so that every source pixel counts
// and fine patterns do not alias; when enlarging it is plain bilinear interpolation.

/** Interleaved pixels: [height, width, channels]. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly data: Uint8Array;
}

/** Height and width in pixels. */
export interface Size {
  readonly height: number;
  readonly width: number;
}

/**
 * Resizes to `size` (the shape is stretched, nothing is cropped) into `target` at `offset`, as
 * [channels, height, width].
 */
export function resizeInto(pixels: Pixels, size: Size, target: Uint8Array, offset: number): void {
  const { width, height, channels, data } = pixels;
  if (width === size.width && height === size.height) {
    planesInto(pixels, target, offset);
    return;
  }
  const columns = filterTaps(width, size.width);
  const rows = filterTaps(height, size.height);
  const narrow = new Float32Array(height * size.width); // one channel, resized along x only
  for (let c = 0; c < channels; c++) {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < size.width; x++) {
        const { first, weights } = columns[x];
        let sum = 0;
        for (let k = 0; k < weights.length; k++) {
          sum += weights[k] * data[(y * width + first + k) * channels + c];
        }
        narrow[y * size.width + x] = sum;
      }
    }
    for (let y = 0; y < size.height; y++) {
      const { first, weights } = rows[y];
      for (let x = 0; x < size.width; x++) {
        let sum = 0;
        for (let k = 0; k < weights.length; k++) sum += weights[k] * narrow[(first + k) * size.width + x];
        target[offset + (c * size.height + y) * size.width + x] = Math.min(255, Math.max(0, Math.round(sum)));
      }
    }
  }
}

/** Interleaved to planes, without resizing. */
function planesInto({ data, channels }: Pixels, target: Uint8Array, offset: number): void {
  const plane = data.length / channels;
  for (let c = 0; c < channels; c++) {
    for (let i = 0; i < plane; i++) target[offset + c * plane + i] = data[i * channels + c];
  }
}

interface Taps {
  /** First source pixel that contributes. */
  readonly first: number;
  /** Its weight and those of the pixels after it; they sum to 1. */
  readonly weights: Float64Array;
}

/** For each of `to` pixels, the source pixels under a triangle of half-width max(1, from / to). */
function filterTaps(from: number, to: number): Taps[] {
  const scale = from / to;
  const radius = Math.max(1, scale);
  return Array.from({ length: to }, (_, i) => {
    const center = (i + 0.5) * scale; // pixel centres lie at halves
    const first = Math.max(0, Math.floor(center - radius + 0.5));
    const end = Math.min(from, Math.floor(center + radius + 0.5));
    const weights = Float64Array.from({ length: end - first }, (_, k) =>
      Math.max(0, 1 - Math.abs((first + k + 0.5 - center) / radius)),
    );
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return { first, weights: weights.map((weight) => weight / total) };
  });
}
