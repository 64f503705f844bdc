// The bilevel toy problem of the DARTS paper (figure 2): known steps, and limits in closed form.
import { toyTrajectory } from "../search/toy.ts";
import { type Check, compare, compareAll } from "./check.ts";

/** ξ, and (a, w) after one, two and three steps, to six digits. */
const STEPS: readonly [xi: number, points: readonly number[]][] = [
  [0, [2.4, -1.12, 2.712, -0.3536, 2.94736, 0.306592]],
  [0.01, [2.388, -1.1224, 2.688443, -0.360231, 2.912992, 0.294413]],
  [0.1, [2.28, -1.144, 2.48032, -0.419136, 2.614638, 0.187619]],
  [0.25, [2.1, -1.18, 2.149, -0.5142, 2.15981, 0.020602]],
  [0.5, [1.8, -1.24, 1.64, -0.664, 1.512, -0.2288]],
  [1, [1.2, -1.36, 0.784, -0.9312, 0.57728, -0.629504]],
];

/** The first steps for each ξ, and the limit a = w = 2/(1 + 2ξ), reached within 200 steps. */
export function toyChecks(): Check[] {
  return STEPS.flatMap(([xi, points]) => {
    const trajectory = toyTrajectory(xi, 200);
    const [a, w] = trajectory[200]!;
    const limit = 2 / (1 + 2 * xi);
    return [
      compareAll(
        `toy problem, ξ = ${xi}: the first three steps`,
        trajectory.slice(1, 4).flat(),
        points,
        6e-7,
      ),
      compare(`toy problem, ξ = ${xi}: limit of a`, a, limit, 1e-6),
      compare(`toy problem, ξ = ${xi}: limit of w`, w, limit, 1e-6),
    ];
  });
}
