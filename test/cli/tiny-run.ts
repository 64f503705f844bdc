// A whole job that takes a second: few tiny images in folders, and the settings of a tiny search and training.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { encode } from "fast-png";
import { toyDataset } from "../support/toy-problem.ts";

/** The settings, for a file beside a folder `images`. */
export const TINY_SETTINGS = `
threads: 1
data: { name: folder, path: images, cropPadding: 1 }
space: { nodes: 2, stemMultiplier: 1, primitives: [none, skip_connect, sep_conv_3x3, max_pool_3x3] }
search: { channels: 2, cells: 3, epochs: 2, batchSize: 8, archLearningRate: 0.01 }
train: { channels: 2, cells: 3, epochs: 2, batchSize: 8, cutout: 2, dropPath: 0.2 }
`;

/** 16 images of each class as PNG files, `<path>/<class>/<n>.png`. */
export function writeTinyImages(path: string, { size = 16, channels = 3, classes = 3 } = {}): void {
  const { train, classes: labels } = toyDataset({ images: 16 * classes, size, channels, classes });
  const plane = size * size;
  for (let n = 0; n < train.count; n++) {
    const planes = train.images.subarray(n * channels * plane, (n + 1) * channels * plane);
    const data = Uint8Array.from(
      { length: channels * plane },
      (_, i) => planes[(i % channels) * plane + Math.floor(i / channels)]!,
    );
    const folder = join(path, labels[train.labels[n]!]!);
    mkdirSync(folder, { recursive: true });
    const png = encode({ width: size, height: size, channels, depth: 8, data });
    writeFileSync(join(folder, `${Math.floor(n / classes)}.png`), png);
  }
}
