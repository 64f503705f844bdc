// How many floating-point operations a step of each work takes at least: the multiply-adds of convolutions and of the
// classifier, as the literature counts them. Beside the machine's peak it says how much of it a step uses.
import { countNetwork, countSupernet } from "../src/genotype/counts.ts";
import { findGenotype } from "../src/genotype/published.ts";
import { DARTS_PRIMITIVES, type Primitive } from "../src/space/primitives.ts";
import type { WorkName } from "./work-names.ts";

/**
 * How often a step takes the multiply-adds of a forward pass. Forward is one; the gradients of what the layers read are as
 * many, those of the weights are, too. In first order the alphas need no gradients of weights: 2 + 3. Second order has three
 * passes with these and two without, at the weights moved to both sides: 3 · 3 + 2 · 2, which is 2.6 first-order steps.
 */
const FORWARDS: Record<WorkName, number> = {
  "supernet-step": 3,
  "first-order-step": 5,
  "second-order-step": 13,
  "pc-darts-step": 3,
  "pc-darts-search-step": 5,
  "gdas-step": 3,
  "evaluation-step": 3,
  "inference-1": 1,
  "inference-128": 1,
};

/** Floating-point operations of a step in 10⁹, at the published sizes; of GDAS the mean over its samples. */
export function gigaflops(work: WorkName, batch: number): number {
  return (2 * FORWARDS[work] * multiplyAdds(work) * batch) / 1e9;
}

/** Of one image, forward. */
function multiplyAdds(work: WorkName): number {
  if (work === "evaluation-step" || work.startsWith("inference"))
    return countNetwork(findGenotype("DARTS_V2"), { channels: 36, cells: 20 }).macs;
  const supernet = (partialChannels: number, primitives: readonly Primitive[] = DARTS_PRIMITIVES) =>
    countSupernet({ channels: 16, cells: 8, stemMultiplier: 3, primitives, partialChannels }).macs;
  if (work === "gdas-step") {
    const rest = supernet(1, []);
    return rest + (supernet(1) - rest) / DARTS_PRIMITIVES.length;
  }
  return supernet(work.startsWith("pc-darts") ? 4 : 1);
}
