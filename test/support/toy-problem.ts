// A search or a training that takes milliseconds: few tiny images that can be told apart, and a tiny network.
import { createHash } from "node:crypto";
import { resolveConfig } from "../../src/config/load.ts";
import type { Config } from "../../src/config/schema.ts";
import type { ImageDataset, ImageSet } from "../../src/data/dataset.ts";
import { channelStatistics } from "../../src/data/statistics.ts";
import type { Snapshot } from "../../src/optim/snapshot.ts";
import { createGenerator } from "../../src/random/generator.ts";
import { scope } from "../../src/tensor/scope.ts";

/** Shape of a toy data set. */
export interface ToyImages {
  readonly images?: number;
  readonly size?: number;
  readonly channels?: number;
  readonly classes?: number;
}

/** Noise in which class `c` has a bright band of rows of its own: learnable, and not by brightness alone. */
export function toyDataset({
  images = 32,
  size = 8,
  channels = 3,
  classes = 3,
}: ToyImages = {}): ImageDataset {
  const generator = createGenerator(1, "toy-images");
  const draw = (count: number): ImageSet => {
    const pixels = new Uint8Array(count * channels * size * size);
    const labels = Uint8Array.from({ length: count }, (_, n) => n % classes);
    for (let i = 0; i < pixels.length; i++) {
      const row = Math.floor(i / size) % size;
      const label = labels[Math.floor(i / (channels * size * size))]!;
      const bright = Math.floor((row * classes) / size) === label;
      pixels[i] = (bright ? 150 : 50) + generator.int(0, 60);
    }
    return { images: pixels, labels, count, channels, height: size, width: size };
  };
  const train = draw(images);
  const names = Array.from({ length: classes }, (_, c) => `band-${c}`);
  return { name: "toy", classes: names, ...channelStatistics(train), train, test: draw(images) };
}

/** Settings of a tiny supernet and network over the schema's defaults; `settings` by dotted key over those. */
export function toyConfig(settings: Readonly<Record<string, unknown>> = {}): Config {
  return resolveConfig({
    flags: {
      threads: 1,
      "data.cropPadding": 1,
      "space.nodes": 2,
      "space.stemMultiplier": 1,
      "search.channels": 2,
      "search.cells": 3,
      "search.epochs": 3,
      "search.batchSize": 4,
      "search.archLearningRate": 0.01,
      "train.channels": 2,
      "train.cells": 3,
      "train.epochs": 4,
      "train.batchSize": 8,
      "train.cutout": 2,
      ...settings,
    },
  });
}

/** What a checkpoint would hold, as one short text for each tensor's bytes and one for the rest. */
export function fingerprint(at: { snapshot(): Snapshot }): Record<string, string> {
  return scope(() => {
    const { tensors, state } = at.snapshot();
    const texts = [...tensors].map(([name, tensor]) => {
      const { buffer, byteOffset, byteLength } = tensor.toArray();
      const bytes = new Uint8Array(buffer, byteOffset, byteLength);
      return [name, createHash("sha256").update(bytes).digest("hex").slice(0, 16)];
    });
    return { ...Object.fromEntries(texts), state: JSON.stringify(state) };
  });
}

/** The part of a fingerprint whose names begin with `prefix`. */
export function fingerprintOf(at: { snapshot(): Snapshot }, prefix: string): Record<string, string> {
  return Object.fromEntries(Object.entries(fingerprint(at)).filter(([name]) => name.startsWith(prefix)));
}
