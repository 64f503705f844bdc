import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Augmentation, createTransform } from "../../src/data/augment.ts";
import type { ImageSet } from "../../src/data/dataset.ts";
import { createGenerator, type Generator } from "../../src/random/generator.ts";
import { randomSet } from "./fixtures.ts";

const off: Augmentation = { cropPadding: 0, flip: false, cutout: 0 };
const mean = [0.4, 0.5, 0.6];
const std = [0.2, 0.25, 0.3];

/** One image through the transform, in an array of its own. */
function transformed(
  set: ImageSet,
  augmentation: Augmentation | null,
  generator: Generator,
  index = 0,
): Float32Array {
  const target = new Float32Array(set.channels * set.height * set.width);
  createTransform(set, { mean, std }, augmentation)(index, target, 0, generator);
  return target;
}

/** The augmentation written the slow and obvious way: pad, crop, mirror, normalise, cut. */
function plainly(
  set: ImageSet,
  { cropPadding, flip, cutout }: Augmentation,
  generator: Generator,
): Float32Array {
  const { channels, height, width, images } = set;
  const top = cropPadding ? generator.int(0, 2 * cropPadding) - cropPadding : 0;
  const left = cropPadding ? generator.int(0, 2 * cropPadding) - cropPadding : 0;
  const mirrored = flip && generator.uniform() < 0.5;
  const y0 = cutout ? generator.int(0, height - 1) - Math.floor(cutout / 2) : 0;
  const x0 = cutout ? generator.int(0, width - 1) - Math.floor(cutout / 2) : 0;
  return Float32Array.from({ length: channels * height * width }, (_, i) => {
    const [c, y, x] = [Math.floor(i / (height * width)), Math.floor(i / width) % height, i % width];
    if (y >= y0 && y < y0 + cutout && x >= x0 && x < x0 + cutout) return 0;
    const [sourceY, sourceX] = [y + top, (mirrored ? width - 1 - x : x) + left];
    const inside = sourceY >= 0 && sourceY < height && sourceX >= 0 && sourceX < width;
    return ((inside ? images[(c * height + sourceY) * width + sourceX] : 0) / 255 - mean[c]) / std[c];
  });
}

test("the evaluation transform is the closed form of normalisation and draws nothing", () => {
  const set = randomSet(1, { count: 3, side: 4 });
  const generator = createGenerator(1);
  const before = generator.state();
  const got = transformed(set, null, generator, 2);
  for (let i = 0; i < 48; i++) {
    const c = Math.floor(i / 16);
    assert.equal(got[i], Math.fround((set.images[96 + i] / 255 - mean[c]) / std[c]));
  }
  assert.deepEqual(generator.state(), before);
});

test("the fast transform equals the obvious one, whatever is on", () => {
  const augmentation = fc.record({ cropPadding: fc.nat(9), flip: fc.boolean(), cutout: fc.nat(9) });
  fc.assert(
    fc.property(augmentation, fc.nat(), fc.integer({ min: 1, max: 8 }), (chosen, seed, side) => {
      const set = randomSet(seed, { count: 1, side });
      const [fast, slow] = [createGenerator(seed), createGenerator(seed)];
      assert.deepEqual(transformed(set, chosen, fast), plainly(set, chosen, slow));
      assert.deepEqual(fast.state(), slow.state());
    }),
  );
});

test("crops of padding 4 reach each of the 81 offsets, and what is outside is black before normalisation", () => {
  const side = 9;
  const set: ImageSet = {
    ...randomSet(1, { count: 1, channels: 1, side }),
    images: new Uint8Array(81).fill(0),
  };
  set.images[40] = 255; // the centre
  const generator = createGenerator(1);
  const black = Math.fround((0 - mean[0]) / std[0]);
  const offsets = new Set<number>();
  for (let i = 0; i < 2000; i++) {
    const image = transformed(set, { ...off, cropPadding: 4 }, generator);
    const white = image.findIndex((value) => value !== black);
    offsets.add(white);
    assert.equal(image.filter((value) => value !== black).length, 1);
  }
  assert.equal(offsets.size, 81);
});

test("half of the images are mirrored, and a mirrored image is the mirror image", () => {
  const set = randomSet(1, { count: 1, channels: 1, side: 4 });
  const straight = transformed(set, null, createGenerator(1));
  const mirror = Float32Array.from(straight, (_, i) => straight[(i & ~3) + 3 - (i & 3)]);
  const generator = createGenerator(1);
  let mirrored = 0;
  for (let i = 0; i < 1000; i++) {
    const image = transformed(set, { ...off, flip: true }, generator);
    if (image[0] === mirror[0]) mirrored++;
    assert.deepEqual(image, image[0] === mirror[0] ? mirror : straight);
  }
  assert.ok(Math.abs(mirrored - 500) < 80, `${mirrored} of 1000 were mirrored`); // five standard deviations
});

test("Cutout 16 zeroes one square of at most 256 pixels, 64 of them in a corner, and the same in every channel", () => {
  const set: ImageSet = { ...randomSet(1, { count: 1 }), images: new Uint8Array(3072).fill(255) };
  const generator = createGenerator(1);
  const areas: number[] = [];
  for (let i = 0; i < 6000; i++) {
    const image = transformed(set, { ...off, cutout: 16 }, generator);
    const zeros = [0, 1, 2].map((c) =>
      image.subarray(c * 1024, (c + 1) * 1024).map((value) => (value === 0 ? 1 : 0)),
    );
    assert.deepEqual(zeros[1], zeros[0]);
    assert.deepEqual(zeros[2], zeros[0]);
    areas.push(zeros[0].reduce((sum, value) => sum + value, 0));
  }
  assert.equal(Math.max(...areas), 256);
  assert.equal(Math.min(...areas), 64);
  // Rows covered, over the 32 centres: 8…15, then 17 times 16, then 15…9; (92 + 272 + 84) / 32 = 14.
  const average = areas.reduce((sum, area) => sum + area, 0) / areas.length;
  assert.ok(Math.abs(average - 14 * 14) < 2, `${average} pixels on average`);
});

test("Cutout keeps an odd side and covers a whole image when it is large enough", () => {
  const set: ImageSet = {
    ...randomSet(1, { count: 1, channels: 1, side: 7 }),
    images: new Uint8Array(49).fill(255),
  };
  const generator = createGenerator(1);
  const zeros = (cutout: number) =>
    transformed(set, { ...off, cutout }, generator).filter((value) => value === 0).length;
  assert.equal(Math.max(...Array.from({ length: 200 }, () => zeros(3))), 9);
  assert.equal(zeros(14), 49);
});
