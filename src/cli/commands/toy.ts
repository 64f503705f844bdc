// `darts toy`: the bilevel problem of the DARTS paper (Figure 2), computed by the search's own unrolled step.
import { type Command, finiteNumber, wholeNumber } from "../command.ts";

/** The command. */
export const toy: Command = {
  name: "toy",
  summary: "follow the paper's bilevel toy problem with the search's own unrolled step",
  options: [
    {
      usage: "--xi <number>",
      description: "learning rate of the virtual step (0: first order; 0.5 finds the optimum)",
      default: 0.5,
      parse: finiteNumber("--xi"),
    },
    { usage: "--steps <integer>", description: "steps", default: 200, parse: wholeNumber("--steps", 1) },
  ],
  examples: [["darts toy --xi 0 --steps 3", "first order walks to (2, 2), away from the optimum (1, 1)"]],
  async action({ options }) {
    const { xi, steps } = options as { xi: number; steps: number };
    const { toyTrajectory } = await import("../../search/toy.ts");
    const trajectory = toyTrajectory(xi, steps);
    return { json: { trajectory }, text: format(trajectory, xi) };
  },
};

/** The first and last few points, with the two losses of the problem. */
function format(trajectory: readonly (readonly [number, number])[], xi: number): string {
  const rows = trajectory.map(([a, w], step) => {
    const losses = [a * w - 2 * a + 1, (w - a) ** 2];
    return [
      String(step).padStart(5),
      ...[a, w, ...losses].map((value) => value.toFixed(6).padStart(12)),
    ].join(" ");
  });
  const shown = rows.length > 14 ? [...rows.slice(0, 8), "    …", ...rows.slice(-4)] : rows;
  const head = ["point", "a", "w", "L_valid", "L_train"]
    .map((name, i) => name.padStart(i ? 12 : 5))
    .join(" ");
  return [`xi = ${xi}; optimum of the bilevel problem: (a, w) = (1, 1)`, head, ...shown].join("\n");
}
