// A data set of one's own: drawn by a program, so that nothing is downloaded. Discs, squares and crosses in grey, at
// random places on noise.
//   darts run --preset quick --plugin examples/own-dataset.ts --data-name shapes --data-train-images null \
//     --data-test-images null --search-train-images null
import { createGenerator, defineDataset, type Generator, type ImageSet } from "darts-nas";

const SIDE = 16;
const CLASSES = ["disc", "square", "cross"];

export const shapes = defineDataset({
  name: "shapes",
  description: "discs, squares and crosses, 16×16 grey, drawn by examples/own-dataset.ts",
  load({ report }) {
    report("Drawing 300 + 90 shapes");
    return { classes: CLASSES, train: draw(300, createGenerator(1)), test: draw(90, createGenerator(2)) };
  },
});

function draw(count: number, generator: Generator): ImageSet {
  const labels = Uint8Array.from({ length: count }, (_, n) => n % CLASSES.length);
  const images = new Uint8Array(count * SIDE * SIDE);
  for (const [n, label] of labels.entries()) {
    const [row, column, radius] = [generator.int(5, 10), generator.int(5, 10), generator.int(3, 5)];
    for (let y = 0; y < SIDE; y++) {
      for (let x = 0; x < SIDE; x++) {
        const inside = isInside(label, Math.abs(y - row), Math.abs(x - column), radius);
        images[(n * SIDE + y) * SIDE + x] = (inside ? 160 : 40) + generator.int(0, 60);
      }
    }
  }
  return { images, labels, count, channels: 1, height: SIDE, width: SIDE };
}

function isInside(label: number, dy: number, dx: number, radius: number): boolean {
  if (label === 0) return dy * dy + dx * dx <= radius * radius;
  if (label === 1) return Math.max(dy, dx) <= radius - 1;
  return Math.min(dy, dx) <= 1 && Math.max(dy, dx) <= radius;
}
