// The bilevel toy problem of the DARTS paper: known steps and limits.
import assert from "node:assert/strict";
import { test } from "node:test";
import { toyTrajectory } from "../../src/search/toy.ts";
import { assertClose } from "../support/assert-close.ts";
import { leakFree } from "../support/leak-free.ts";

// The paper's toy problem: ξ, (a, w) after 1, 2 and 3 steps, and the limit a = w = 2/(1 + 2ξ).
const TOY: [xi: number, points: number[], limit: number][] = [
  [0, [2.4, -1.12, 2.712, -0.3536, 2.94736, 0.306592], 2],
  [0.01, [2.388, -1.1224, 2.688443, -0.360231, 2.912992, 0.294413], 1.96078431],
  [0.1, [2.28, -1.144, 2.48032, -0.419136, 2.614638, 0.187619], 1.66666667],
  [0.25, [2.1, -1.18, 2.149, -0.5142, 2.15981, 0.020602], 1.33333333],
  [0.5, [1.8, -1.24, 1.64, -0.664, 1.512, -0.2288], 1],
  [1, [1.2, -1.36, 0.784, -0.9312, 0.57728, -0.629504], 0.66666667],
];
for (const [xi, points, limit] of TOY) {
  test(
    `the toy problem with ξ = ${xi} takes its known steps and ends at ${limit.toFixed(4)}`,
    leakFree(() => {
      const trajectory = toyTrajectory(xi, 200);
      assert.deepEqual(trajectory[0], [2, -2]);
      assertClose(trajectory.slice(1, 4).flat(), points, 2.5e-7, "steps, printed to six digits");
      assertClose(trajectory[200]!, [limit, limit], 1e-6, "limit");
      assertClose(trajectory[200]![0], 2 / (1 + 2 * xi), 1e-6, "closed form of the limit");
    }),
  );
}
