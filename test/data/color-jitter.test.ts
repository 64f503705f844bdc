// Colour changes and resized crops against closed forms, and hues against Python's colorsys.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createTransform } from "../../src/data/augment.ts";
import {
  jitterColors,
  scaleBrightness,
  scaleContrast,
  scaleSaturation,
  turnHue,
} from "../../src/data/color-jitter.ts";
import { drawRegion, enlarge } from "../../src/data/resized-crop.ts";
import { createGenerator } from "../../src/random/generator.ts";
import { assertClose } from "../support/assert-close.ts";
import { randomSet } from "./fixtures.ts";

const ONE_PIXEL = { channels: 3, pixels: 1 };
const TWO_PIXELS = { channels: 3, pixels: 2 };

test("hues turn as in colorsys, and greys have none", () => {
  // colorsys.hsv_to_rgb((h + turn) % 1, s, v), 0…255
  for (const [rgb, turn, expected] of [
    [[200, 50, 20], 0.1, [200, 158, 20]],
    [[10, 240, 90], -0.2, [206, 240, 10]],
    [[30, 40, 250], 0.2, [250, 30, 216]],
    [[120, 120, 30], 0.5, [30, 30, 120]],
    [[77, 77, 77], 0.3, [77, 77, 77]],
    [[200, 50, 20], 0, [200, 50, 20]],
  ] as const) {
    const image = Float32Array.from(rgb);
    turnHue(image, ONE_PIXEL, turn);
    assertClose([...image], [...expected], 1e-4, `${rgb} turned by ${turn}`);
  }
});

test("brightness, contrast and saturation blend with black, the mean grey, and each pixel's grey", () => {
  const image = () => Float32Array.of(100, 200, 50, 30, 20, 10); // [3, 1, 2]
  const grey = (i: number) => 0.299 * image()[i]! + 0.587 * image()[i + 2]! + 0.114 * image()[i + 4]!;
  const mean = (grey(0) + grey(1)) / 2;
  const blended = (target: (i: number) => number, factor: number) =>
    [...image()].map((value, i) => Math.min(255, Math.max(0, target(i) + (value - target(i)) * factor)));
  for (const factor of [0, 0.6, 1, 1.4]) {
    const [bright, contrasted, saturated] = [image(), image(), image()];
    scaleBrightness(bright, factor);
    scaleContrast(contrasted, TWO_PIXELS, factor);
    scaleSaturation(saturated, TWO_PIXELS, factor);
    assertClose(
      [...bright],
      blended(() => 0, factor),
      1e-4,
      "brightness",
    );
    assertClose(
      [...contrasted],
      blended(() => mean, factor),
      1e-4,
      "contrast",
    );
    assertClose(
      [...saturated],
      blended((i) => grey(i % 2), factor),
      1e-4,
      "saturation",
    );
  }
});

test("a jitter stays within the bounds of its strength and changes nothing at strength 0", () => {
  const generator = createGenerator(3);
  const original = Float32Array.from({ length: 12 }, (_, i) => 40 + 10 * i);
  const still = original.slice();
  jitterColors(still, { channels: 3, pixels: 4 }, 0, generator);
  assertClose([...still], [...original], 1e-4, "strength 0");
  const different = new Set<string>();
  for (let n = 0; n < 50; n++) {
    const grey = new Float32Array(3).fill(100); // without contrast and colour: brightness alone acts
    jitterColors(grey, ONE_PIXEL, 0.4, generator);
    assert.ok(
      grey.every((value) => value > 59.9 && value < 140.1),
      `${[...grey]}`,
    );
    different.add(grey[0]!.toFixed(3));
  }
  assert.ok(different.size > 40);
});

test("the parts of resized crops lie inside, cover 8 to 100 % of the area, and their sides are in 3/4 to 4/3", () => {
  const generator = createGenerator(5);
  const areas = Array.from({ length: 2000 }, () => {
    const { top, left, height, width } = drawRegion(224, 224, generator);
    assert.ok(top >= 0 && left >= 0 && top + height <= 224 && left + width <= 224);
    assert.ok(width / height > 0.73 && width / height < 1.37, `${width}/${height}`);
    return (height * width) / 224 ** 2;
  });
  assert.ok(Math.min(...areas) > 0.075 && Math.min(...areas) < 0.1, `${Math.min(...areas)}`);
  assert.ok(Math.max(...areas) > 0.95);
});

test("an enlarged region is the image itself at full size, and exact on a plane of constant slope", () => {
  const set = randomSet(1, { count: 2, side: 6 });
  const target = new Float32Array(3 * 36);
  enlarge(set, 1, { top: 0, left: 0, height: 6, width: 6 }, target);
  assertClose([...target], [...set.images.subarray(108, 216)], 0, "whole");
  const slope = {
    ...set,
    images: Uint8Array.from({ length: 216 }, (_, i) => 10 * (i % 6) + (Math.floor(i / 6) % 6)),
  };
  enlarge(slope, 0, { top: 1, left: 2, height: 3, width: 3 }, target);
  const at = (i: number) => Math.min(2, Math.max(0, (i + 0.5) / 2 - 0.5));
  const expected = Array.from({ length: 36 }, (_, i) => 10 * (2 + at(i % 6)) + 1 + at(Math.floor(i / 6)));
  assertClose([...target.subarray(0, 36)], expected, 1e-4, "slope");
});

test("with jitter and a padded crop the transform is the plain one but for the colours", () => {
  const set = randomSet(2, { count: 1, side: 5 });
  const options = { cropPadding: 2, flip: true, cutout: 2 };
  const statistics = { mean: [0.4, 0.5, 0.6], std: [0.2, 0.25, 0.3] };
  for (let seed = 0; seed < 20; seed++) {
    const [plain, resized] = [{ ...options }, { ...options, colorJitter: 1e-9 }].map((augmentation) => {
      const target = new Float32Array(75);
      createTransform(set, statistics, { ...augmentation, cutout: 0 })(0, target, 0, createGenerator(seed));
      return [...target];
    });
    assertClose(resized!, plain!, 1e-4, `seed ${seed}`);
  }
});

test("a transform with resized crops repeats under its seed and differs from image to image", () => {
  const set = randomSet(2, { count: 1, side: 16 });
  const statistics = { mean: [0.4, 0.5, 0.6], std: [0.2, 0.25, 0.3] };
  const augmentation = { crop: "resized", colorJitter: 0.4, cropPadding: 0, flip: true, cutout: 4 } as const;
  const draw = (seed: number) => {
    const target = new Float32Array(3 * 256);
    createTransform(set, statistics, augmentation)(0, target, 0, createGenerator(seed));
    return [...target];
  };
  assert.deepEqual(draw(1), draw(1));
  assert.notDeepEqual(draw(1), draw(2));
  assert.ok(draw(1).filter((value) => value === 0).length >= 4, "Cutout is zero after normalisation");
});
