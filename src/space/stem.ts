// What images pass before the first cell of a supernet or a derived network: the stems of DARTS, and those of plugins by
// the name of their space.
import { BatchNorm2d, Conv2d, ReLU } from "../nn/layers.ts";
import { type Layer, Sequential } from "../nn/module.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { type Images, toBlocked } from "./blocked.ts";
import { fusable } from "./fused-cell.ts";
import { forwardFusedStem } from "./fused-stem.ts";
import type { Skeleton } from "./skeleton.ts";

/** Builds a stem from [N, imageChannels, H, W] to [N, channels, H', W']. */
export type StemBuilder = (imageChannels: number, channels: number) => Layer;

/** A network's stem by the reference code's names: one layer, or two of which the first cell reads both. */
export interface Stem {
  readonly stem?: Layer;
  readonly stem0?: Layer;
  readonly stem1?: Layer;
  /** Channels that the first cell reads. */
  readonly channels: number;
}

const builders = new Map<string, StemBuilder>();

/** Adds the builder of a plugin's stem; its name must be free. */
export function addStem(name: string, builder: StemBuilder): void {
  builders.set(name, builder);
}

/** The stem of that name before a first cell of so many channels; `multiplier` is the stem's own width in those. */
export function createStem(
  name: Skeleton["stem"],
  {
    imageChannels,
    channels,
    multiplier,
  }: { readonly imageChannels: number; readonly channels: number; readonly multiplier: number },
): Stem {
  if (name === "imagenet") {
    const [stem0, stem1] = imagenetStems(imageChannels, channels);
    return { stem0, stem1, channels };
  }
  const own = multiplier * channels;
  const builder = name === "cifar" ? cifarStem : builders.get(name);
  if (!builder) throw new RangeError(`there is no stem ${name}; load the plugin that adds it`);
  return { stem: builder(imageChannels, own), channels: own };
}

/**
 * What the first cell reads: the state before the previous one, and the previous one; in blocks where these are wanted
 * and the kernels take the images.
 */
export function stemStates(
  { stem, stem0, stem1 }: Omit<Stem, "channels">,
  images: Tensor,
  { blocked }: { readonly blocked: boolean },
): [Images, Images] {
  const inLayout = (state: Tensor) => (blocked && fusable(state) ? toBlocked(state) : state);
  if (stem) {
    const state = (blocked && forwardFusedStem(stem, images)) || inLayout(stem.forward(images));
    return [state, state];
  }
  const older = stem0!.forward(images);
  return [inLayout(older), inLayout(stem1!.forward(older))];
}

function cifarStem(imageChannels: number, channels: number): Sequential {
  return new Sequential(new Conv2d(imageChannels, channels, 3, { padding: 1 }), new BatchNorm2d(channels));
}

/** Three convolutions of stride 2 in all: 224 → 56 after the first stem, 28 after the second. */
function imagenetStems(imageChannels: number, channels: number): [Sequential, Sequential] {
  const half = Math.floor(channels / 2);
  const reduce = (from: number, to: number) => new Conv2d(from, to, 3, { stride: 2, padding: 1 });
  return [
    new Sequential(
      reduce(imageChannels, half),
      new BatchNorm2d(half),
      new ReLU(),
      reduce(half, channels),
      new BatchNorm2d(channels),
    ),
    new Sequential(new ReLU(), reduce(channels, channels), new BatchNorm2d(channels)),
  ];
}
