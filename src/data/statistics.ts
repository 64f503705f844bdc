// Mean and standard deviation of each channel, as the normalisation wants them.
import type { ImageSet } from "./dataset.ts";

/**
 * Mean and population standard deviation of each channel of `set`, pixels scaled to 0…1. A channel of one
 * value gets the deviation 1, so that normalising it divides by no zero.
 */
export function channelStatistics(set: ImageSet): { mean: number[]; std: number[] } {
  const { images, count, channels } = set;
  const plane = set.height * set.width;
  const mean: number[] = [];
  const std: number[] = [];
  for (let c = 0; c < channels; c++) {
    // A histogram of the 256 values is exact: no sum of millions of rounded numbers.
    const histogram = new Float64Array(256);
    for (let n = 0; n < count; n++) {
      const start = (n * channels + c) * plane;
      for (let i = start; i < start + plane; i++) histogram[images[i]]++;
    }
    const total = count * plane;
    const average = histogram.reduce((sum, times, value) => sum + times * value, 0) / total;
    const variance = histogram.reduce((sum, times, value) => sum + times * (value - average) ** 2, 0) / total;
    mean.push(average / 255);
    std.push(variance > 0 ? Math.sqrt(variance) / 255 : 1);
  }
  return { mean, std };
}
