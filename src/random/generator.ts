// Seeded random numbers for shuffles, augmentation and sampled architectures.
// xoroshiro128+ by pure-rand: its whole state is four integers, so it fits in a checkpoint.
import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";
import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus, xoroshiro128plusFromState } from "pure-rand/generator/xoroshiro128plus";

/** The state of a {@link Generator}: plain numbers, safe to write as JSON. */
export type GeneratorState = readonly number[];

/** A seeded source of random numbers whose state can be saved and restored. */
export interface Generator {
  /** A uniform integer in [min, max], both included. */
  int(min: number, max: number): number;
  /** A uniform number in [0, 1). */
  uniform(): number;
  /** Fisher-Yates shuffle of `items`, in place; returns `items`. */
  shuffle<T extends { length: number; [index: number]: unknown }>(items: T): T;
  /** The state after everything drawn so far. */
  state(): GeneratorState;
  /** Continues from a state that {@link Generator.state} returned. */
  restore(state: GeneratorState): void;
}

/**
 * A generator for one purpose: `stream` separates purposes, so that drawing more numbers for one
 * (say, augmentation) never changes another (say, the order of images) under the same seed.
 */
export function createGenerator(seed: number, stream = ""): Generator {
  let source = xoroshiro128plus(mix(seed, stream));
  return {
    int: (min, max) => uniformInt(source, min, max),
    uniform: () => uniformFloat64(source),
    shuffle(items) {
      for (let i = items.length - 1; i > 0; i--) {
        const j = uniformInt(source, 0, i);
        const swapped = items[i];
        items[i] = items[j];
        items[j] = swapped;
      }
      return items;
    },
    state: () => source.getState(),
    restore(state) {
      source = xoroshiro128plusFromState(state);
    },
  };
}

/** FNV-1a over the stream's name, started from the seed: a 32-bit seed of its own for each stream. */
function mix(seed: number, stream: string): number {
  let hash = (0x811c9dc5 ^ seed) >>> 0;
  for (const byte of Buffer.from(stream)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash;
}
