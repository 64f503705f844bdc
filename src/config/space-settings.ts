// What a configuration says about its search space: a named one brings its candidates, its nodes and its stem, and others
// are a mistake, not a wish that is passed over. All sources are joined by then.
import { UserError } from "../errors.ts";
import { DARTS_SPACE, findSpace } from "../space/spaces.ts";
import type { Locate, Settings } from "./check.ts";

/** The settings with what the named space says; throws a {@link UserError} for what it does not go together with. */
export function completeSpace(settings: Settings, locate: Locate): Settings {
  const given = (settings["space"] ?? {}) as Settings;
  const name = String(given["name"] ?? DARTS_SPACE.name);
  if (name === DARTS_SPACE.name) return settings;
  const { primitives, nodes, skeleton } = findSpace(name);
  const fixed: Settings = {
    primitives: [...primitives],
    ...(nodes !== undefined && { nodes }),
    // Cells that take what they read as it is must find their own channels; the stem of ImageNet has those of the first.
    ...((!skeleton.preprocess || skeleton.stem === "imagenet") && {
      stemMultiplier: skeleton.stemMultiplier,
    }),
  };
  const words = (value: unknown) => (Array.isArray(value) ? value.join(", ") : String(value));
  for (const [key, value] of Object.entries(fixed)) {
    const [got, expected] = [given[key], value].map(words);
    if (given[key] === undefined || got === expected) continue;
    throw new UserError(
      `${locate(["space", key])}: space.${key} is ${got}, but the space ${name} has ${expected}. ` +
        "Leave one of the two keys out.",
    );
  }
  return { ...settings, space: { stemMultiplier: skeleton.stemMultiplier, ...given, ...fixed } };
}
