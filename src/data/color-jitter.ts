// Random changes of brightness, contrast, saturation and hue, in random order, as in training on ImageNet.
import type { Generator } from "../random/generator.ts";

/** Luma of ITU-R BT.601, in red, green and blue. */
const LUMA = [0.299, 0.587, 0.114] as const;

/** Sizes of an image [C, H, W]. */
export interface Planes {
  readonly channels: number;
  /** H·W */
  readonly pixels: number;
}

/**
 * Changes `image` (0…255) in place: brightness, contrast and saturation by factors in 1 ± strength, hue by a turn in
 * ± strength/2. Images without three channels have no colour: only brightness and contrast change. Drawn in the order:
 * the three factors, the turn, the order of the four.
 */
export function jitterColors(
  image: Float32Array,
  planes: Planes,
  strength: number,
  generator: Generator,
): void {
  const factor = () => 1 + strength * (2 * generator.uniform() - 1);
  const [brightness, contrast, saturation] = [factor(), factor(), factor()];
  const turn = (strength / 2) * (2 * generator.uniform() - 1);
  const changes = [
    () => scaleBrightness(image, brightness),
    () => scaleContrast(image, planes, contrast),
    () => scaleSaturation(image, planes, saturation),
    () => turnHue(image, planes, turn),
  ];
  for (const i of generator.shuffle(Uint32Array.of(0, 1, 2, 3))) changes[i]!();
}

/** Towards black (below 1) or away from it. */
export function scaleBrightness(image: Float32Array, factor: number): void {
  for (let i = 0; i < image.length; i++) image[i] = clamp(image[i]! * factor);
}

/** Towards the image's mean grey, or away from it. */
export function scaleContrast(image: Float32Array, planes: Planes, factor: number): void {
  let mean = 0;
  for (let i = 0; i < planes.pixels; i++) mean += greyAt(image, planes, i);
  mean /= planes.pixels;
  for (let i = 0; i < image.length; i++) image[i] = clamp(mean + (image[i]! - mean) * factor);
}

/** Towards each pixel's grey, or away from it. */
export function scaleSaturation(image: Float32Array, planes: Planes, factor: number): void {
  const { channels, pixels } = planes;
  if (channels !== 3) return;
  for (let i = 0; i < pixels; i++) {
    const grey = greyAt(image, planes, i);
    for (let at = i; at < image.length; at += pixels) image[at] = clamp(grey + (image[at]! - grey) * factor);
  }
}

/** Turns the hue of every pixel by `turn` full circles; its largest and smallest channel values stay. */
export function turnHue(image: Float32Array, { channels, pixels }: Planes, turn: number): void {
  if (channels !== 3) return;
  for (let i = 0; i < pixels; i++) {
    const [r, g, b] = [image[i]!, image[i + pixels]!, image[i + 2 * pixels]!];
    const [low, high] = [Math.min(r, g, b), Math.max(r, g, b)];
    const chroma = high - low;
    if (chroma === 0) continue;
    const sector =
      high === r ? ((g - b) / chroma + 6) % 6 : high === g ? (b - r) / chroma + 2 : (r - g) / chroma + 4;
    const hue = (((sector + 6 * turn) % 6) + 6) % 6;
    // Each channel falls from `high` to `low` with the distance of the hue from its own.
    for (const [c, own] of [0, 2, 4].entries()) {
      const distance = Math.min(Math.abs(hue - own), 6 - Math.abs(hue - own));
      image[i + c * pixels] = low + chroma * Math.min(1, Math.max(0, 2 - distance));
    }
  }
}

function greyAt(image: Float32Array, { channels, pixels }: Planes, i: number): number {
  if (channels === 3)
    return LUMA[0] * image[i]! + LUMA[1] * image[i + pixels]! + LUMA[2] * image[i + 2 * pixels]!;
  let sum = 0;
  for (let at = i; at < image.length; at += pixels) sum += image[at]!;
  return sum / channels;
}

function clamp(value: number): number {
  return Math.min(255, Math.max(0, value));
}
