// What would make a plan fit that does not: changes of one key each, every one of them rehearsed, none guessed.
import type { Config } from "../config/schema.ts";
import { UserError } from "../errors.ts";
import { declaredMethods } from "../methods/table.ts";
import { expectedPeak, tensorRoom } from "./memory.ts";
import { type Plan, type PlanSubject, plannedGenotype, searchLoad, trainingLoad } from "./plan.ts";
import { megabytes } from "./plan-text.ts";
import { type Rehearsal, rehearseSearch, rehearseTraining } from "./rehearse.ts";

/** Throws a {@link UserError} when a part of the plan needs more memory than there is; it says what would fit. */
export function requireMemory(plan: Plan, subject: PlanSubject): void {
  const { limit, residentBytes, parts } = plan;
  const part = parts.find(({ peakBytes }) => peakBytes !== null && peakBytes > limit.bytes);
  if (!part) return;
  const section = part.phase === "search" ? "search" : "train";
  const room = tensorRoom(residentBytes, limit.bytes);
  const advice = [
    ...smallerBatches(section, subject, room),
    ...otherSettings(section, subject.config).flatMap(({ key, value, config }) => {
      const bytes = bytesIfPossible(section, { ...subject, config });
      return bytes !== undefined && bytes <= room
        ? [`${key} ${value} (${megabytes(expectedPeak(residentBytes, bytes))})`]
        : [];
    }),
  ];
  throw new UserError(
    `The ${part.phase} needs ${part.atMost ? "up to" : "about"} ${megabytes(part.peakBytes!)} of memory, but there are ` +
      `${megabytes(limit.bytes)} (${limit.source}). ` +
      (advice.length > 0
        ? `What would fit: ${advice.join("; ")}. `
        : "No single change of a key would fit. ") +
      "To start all the same, set memoryLimit to the megabytes that it may take.",
  );
}

function smallerBatches(section: Section, subject: PlanSubject, room: number): string[] {
  const { rehearsal, load } = rehearse(section, subject);
  const most = Math.min(rehearsal.mostImages(room), load.batch);
  if (most < 2) return []; // one image has no batch statistics where the feature map is one pixel
  return [
    `${section}.microBatch ${most} (the gradients of the same batch, part by part)`,
    `${section}.batchSize ${most}`,
  ];
}

/** Bytes of tensors; undefined where the settings go with no cells of this search or training (recompute, storage). */
function bytesIfPossible(section: Section, subject: PlanSubject): number | undefined {
  try {
    return rehearse(section, subject).atLoad;
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

type Section = "search" | "train";

/** Settings that may need less, for each key from the largest change to the smallest that is worth a rehearsal. */
function otherSettings(
  section: Section,
  config: Config,
): { key: string; value: string | number; config: Config }[] {
  const fused = config.kernels !== "composite";
  const { channels } = config[section];
  const fewer = [channels / 2, channels / 4].filter((value) => value % 2 === 0);
  const others = section === "search" ? otherMethods(config) : [];
  return [
    ...fewer.map((value) => ({
      key: `${section}.channels`,
      value,
      config: { ...config, [section]: { ...config[section], channels: value } },
    })),
    ...(fused ? [] : [{ key: "kernels", value: "auto", config: { ...config, kernels: "auto" as const } }]),
    ...(fused && !config.recompute
      ? [{ key: "recompute", value: "true", config: { ...config, recompute: true } }]
      : []),
    ...(fused && config.storage === "fp32"
      ? [{ key: "storage", value: "bf16", config: { ...config, storage: "bf16" as const } }]
      : []),
    ...others.map((other) => ({ key: "search.method", value: other.search.method, config: other })),
  ];
}

/** The same search by every other method that defines its order and can do with its sizes, at its own options. */
function otherMethods(config: Config): Config[] {
  return declaredMethods()
    .filter(({ name, orders }) => name !== config.search.method && orders.includes(config.search.order))
    .flatMap(({ name, options, check }) => {
      const own = options.parse({});
      const other: Config = { ...config, search: { ...config.search, method: name, options: own } };
      try {
        check?.(other, own);
      } catch (error) {
        if (error instanceof UserError) return [];
        throw error;
      }
      return [other];
    });
}

function rehearse(section: Section, { config, data, intent }: PlanSubject) {
  const load = section === "search" ? searchLoad(config, data) : trainingLoad(config, data);
  const rehearsal: Rehearsal =
    section === "search"
      ? rehearseSearch(config, data, load)
      : rehearseTraining(config, plannedGenotype(config, intent), data, load);
  return { rehearsal, load, atLoad: rehearsal.bytes(load.atOnce) };
}
