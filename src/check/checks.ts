// `darts check`: proofs that need no files, by closed forms and published numbers, in a few seconds.
import { generatorState, liveTensors, setGeneratorState } from "../tensor/runtime.ts";
import { scope } from "../tensor/scope.ts";
import { bilevelChecks } from "./bilevel.ts";
import { type Check, compare } from "./check.ts";
import { countChecks } from "./counts.ts";
import { gradientChecks } from "./gradients.ts";
import { normalizationChecks } from "./normalization.ts";
import { optimizerChecks } from "./optimizers.ts";
import { toyChecks } from "./toy.ts";

export type { Check } from "./check.ts";

const THEMES: readonly (() => Check[])[] = [
  gradientChecks,
  toyChecks,
  bilevelChecks,
  optimizerChecks,
  normalizationChecks,
  countChecks,
];

/** Computes every check on this machine and this libtorch. The random generator is afterwards as before. */
export function runChecks(): Check[] {
  const state = generatorState();
  const before = liveTensors();
  try {
    const checks = THEMES.flatMap((theme) => scope(theme));
    return [...checks, compare("tensors that the checks left alive", liveTensors() - before, 0, 0)];
  } finally {
    setGeneratorState(state);
  }
}
