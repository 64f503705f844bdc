// What a configuration says about its search space: a named one brings its candidates, and those of another are a
// mistake, not a wish that is passed over. All sources are joined by then.
import { UserError } from "../errors.ts";
import { SPACE_NAMES, SPACES, type SpaceName } from "../space/spaces.ts";
import type { Locate, Settings } from "./check.ts";

/** The settings with the candidates of the named space; throws a {@link UserError} for others, or too many nodes. */
export function completeSpace(settings: Settings, locate: Locate): Settings {
  const space = (settings["space"] ?? {}) as Settings;
  const name = (space["name"] ?? SPACE_NAMES[0]) as SpaceName;
  if (name === "darts") return settings;
  const { primitives, edges } = SPACES[name];
  const given = space["primitives"] as string[] | undefined;
  if (given && given.join() !== primitives.join()) {
    throw new UserError(
      `${locate(["space", "primitives"])}: space.primitives is ${given.join(", ")}, but the space ${name} has ` +
        `${primitives.join(", ")}. Leave one of the two keys out.`,
    );
  }
  const nodes = (space["nodes"] ?? 4) as number;
  if (edges && nodes !== 4) {
    throw new UserError(
      `${locate(["space", "nodes"])}: space.nodes is ${nodes}, but the space ${name} says what stands on each edge of ` +
        "a cell of 4 nodes. Set space.nodes to 4, or take another space.",
    );
  }
  return { ...settings, space: { ...space, primitives: [...primitives] } };
}
