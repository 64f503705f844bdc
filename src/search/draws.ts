// Passes that must see the random draws of another one: the micro-batches of a batch, the ± passes of an unrolled step.
import type { Generator } from "../random/generator.ts";
import { generatorState, setGeneratorState } from "../tensor/runtime.ts";

/** What a pass may draw from. */
export interface DrawSources {
  /** Device whose libtorch generator it is; the CPU when absent. */
  readonly device?: string;
  /** The method's own stream. */
  readonly random?: Generator;
}

/** Remembers where the generators stand; the result puts them back there. */
export function drawsOf({ device = "cpu", random }: DrawSources): () => void {
  const draws = generatorState(device);
  const own = random?.state();
  return () => {
    setGeneratorState(draws, device);
    if (own) random?.restore(own);
  };
}

/** Runs `fn` from where `rewind` puts the generators, which afterwards stand as found. */
export function replaying<T>(rewind: () => void, sources: DrawSources, fn: () => T): T {
  const found = drawsOf(sources);
  rewind();
  try {
    return fn();
  } finally {
    found();
  }
}
