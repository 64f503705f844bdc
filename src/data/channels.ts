// Conversion between grey (1 channel), RGB (3) and RGB with alpha (4).
import type { Pixels } from "./resize.ts";

/**
 * The image with `channels` of 1, 3 or 4. Grey is the luma of ITU-R BT.601 (0.299 R + 0.587 G + 0.114 B), as
 * image libraries compute it; grey becomes RGB by repetition; a missing alpha is opaque, 255.
 */
export function withChannels(pixels: Pixels, channels: number): Pixels {
  const { width, height, data, channels: from } = pixels;
  if (from === channels) return pixels;
  const count = width * height;
  const result = new Uint8Array(count * channels);
  for (let i = 0; i < count; i++) {
    const at = i * from;
    const [red, green, blue] = from === 1 ? [data[at], data[at], data[at]] : data.subarray(at, at + 3);
    if (channels === 1) {
      result[i] = Math.round(0.299 * red + 0.587 * green + 0.114 * blue);
      continue;
    }
    result.set([red, green, blue], i * channels);
    if (channels === 4) result[i * 4 + 3] = from === 4 ? data[at + 3] : 255;
  }
  return { width, height, channels, data: result };
}
