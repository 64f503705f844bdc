import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { encode } from "fast-png";
import { toyDataset } from "./toy-problem.ts";

/** Writes 48 images of the toy problem, 16×16 pixels, as PNG files in a folder for each class. */
export function writeToyImages(folder: string): void {
  const { train, classes } = toyDataset({ images: 48, size: 16 });
  const plane = 16 * 16;
  for (let n = 0; n < train.count; n++) {
    const planes = train.images.subarray(n * 3 * plane, (n + 1) * 3 * plane);
    const data = Uint8Array.from(
      { length: 3 * plane },
      (_, i) => planes[(i % 3) * plane + Math.floor(i / 3)]!,
    );
    const path = join(folder, classes[train.labels[n]!]!);
    mkdirSync(path, { recursive: true });
    writeFileSync(join(path, `${n}.png`), encode({ width: 16, height: 16, channels: 3, depth: 8, data }));
  }
}
