// What a command is going to need, before it does anything: parameters and memory from rehearsals, time from probe
// steps of the full size.
import type { Config } from "../config/schema.ts";
import type { ImageDataset } from "../data/dataset.ts";
import { trainingSplit } from "../data/splits.ts";
import type { Genotype } from "../genotype/genotype.ts";
import { largestCells } from "../genotype/largest.ts";
import { derivedCells } from "../methods/table.ts";
import { costOf } from "../search/costs.ts";
import { splitsFor } from "../search/splits.ts";
import { findSpace, openCandidates } from "../space/spaces.ts";
import { expectedPeak, heldBytes, type MemoryLimit, memoryLimit } from "./memory.ts";
import { probeSearch, probeTraining } from "./probe.ts";
import { type Load, loadOf, rehearseSearch, rehearseTraining } from "./rehearse.ts";

/** What a command is going to do. */
export interface Intent {
  readonly searches: boolean;
  /** The cell that is trained; `"found"` when a search has yet to find it. */
  readonly trains?: Genotype | "found";
}

/** How long a part of the work will take, in seconds. */
export interface Duration {
  readonly step: number;
  readonly epoch: number;
  readonly total: number;
}

/** One part of the work: the search, or the training of one cell. */
export interface PlanPart {
  readonly phase: "search" | "training";
  /** Weights without those of the auxiliary head, as the literature counts. */
  readonly params: number;
  /** Multiply-adds of an image; null for a supernet. */
  readonly macs: number | null;
  readonly load: Load;
  readonly stepsPerEpoch: number;
  readonly epochs: number;
  /** Expected peak of the process in bytes; null where it is not forecast (a device other than the CPU). */
  readonly peakBytes: number | null;
  /** Whether the figures are those of the largest cell that a search can find, because it is not found yet. */
  readonly atMost: boolean;
  /** Trainings of this size that the command makes. */
  readonly times: number;
  readonly duration?: Duration;
}

/** A plan, and the memory it is held against. */
export interface Plan {
  readonly parts: readonly PlanPart[];
  readonly limit: MemoryLimit;
  /** The process's size when the plan was made: with the data, and with what libtorch loads when it first computes. */
  readonly residentBytes: number;
}

/** The data that a plan is for. */
export type PlanData = Pick<ImageDataset, "name" | "classes" | "mean" | "std" | "train">;

/** What a plan is made of. */
export interface PlanSubject {
  readonly config: Config;
  readonly data: PlanData;
  readonly intent: Intent;
}

/** Plans `intent`, without times. */
export function makePlan({ config, data, intent }: PlanSubject): Plan {
  const rehearsed: Rehearsed[] = [];
  if (intent.searches) rehearsed.push(planSearch(config, data));
  if (intent.trains) rehearsed.push(planTraining(config, data, intent));
  // Not before the rehearsals: they leave the process as large as it is between two steps.
  const residentBytes = heldBytes();
  const parts = rehearsed.map(({ tensorBytes, ...part }) => ({
    ...part,
    peakBytes: config.device === "cpu" ? expectedPeak(residentBytes, tensorBytes) : null,
  }));
  return { parts, limit: memoryLimit(config), residentBytes };
}

/** The plan with times: `steps` steps of the full size of each part are made and timed. */
export function timePlan(plan: Plan, { config, data, intent }: PlanSubject, steps: number): Plan {
  const parts = plan.parts.map((part) => {
    const { load, phase, stepsPerEpoch, epochs } = part;
    const pace =
      phase === "search"
        ? probeSearch(config, data, {
            steps,
            load,
            validated: splitsFor(config, data).architecture.indices.length,
          })
        : probeTraining(config, plannedGenotype(config, intent), data, { steps, load });
    const epoch = pace.step * stepsPerEpoch + pace.perEpoch;
    return { ...part, duration: { step: pace.step, epoch, total: epoch * epochs } };
  });
  return { ...plan, parts };
}

/** The load of a search's steps, which its smaller split may bound. */
export function searchLoad(config: Config, data: PlanData): Load {
  return loadOf(config.search, splitsFor(config, data).weights.indices.length);
}

/** The load of a training's steps. */
export function trainingLoad(config: Config, data: PlanData): Load {
  return loadOf(config.train, trainingSplit(data).indices.length);
}

/** A part of the plan with the bytes of its tensors in place of the process's peak. */
type Rehearsed = Omit<PlanPart, "peakBytes"> & { readonly tensorBytes: number };

function planSearch(config: Config, data: PlanData): Rehearsed {
  const images = splitsFor(config, data).weights.indices.length;
  const load = loadOf(config.search, images);
  const { epochs, batchSize } = config.search;
  const stepsPerEpoch = Math.ceil(images / batchSize);
  const rehearsal = rehearseSearch(config, data, load);
  return {
    phase: "search",
    params: rehearsal.params,
    macs: null,
    load,
    stepsPerEpoch,
    epochs,
    tensorBytes: rehearsal.bytes(load.atOnce),
    atMost: false,
    times: 1,
  };
}

function planTraining(config: Config, data: PlanData, intent: Intent): Rehearsed {
  const genotype = plannedGenotype(config, intent);
  const load = trainingLoad(config, data);
  const { epochs, randomCells } = config.train;
  const stepsPerEpoch = Math.ceil(data.train.count / config.train.batchSize);
  const rehearsal = rehearseTraining(config, genotype, data, load);
  return {
    phase: "training",
    ...costOf(genotype, { config, dataset: data }),
    load,
    stepsPerEpoch,
    epochs,
    tensorBytes: rehearsal.bytes(load.atOnce),
    atMost: intent.trains === "found",
    times: intent.searches ? 1 + randomCells : 1,
  };
}

/** The cell that is trained, or the largest where it is not found yet. */
export function plannedGenotype(config: Config, { trains }: Intent): Genotype {
  return trains === undefined || trains === "found" ? largestGenotype(config) : trains;
}

/** The largest cells that the search can find. */
export function largestGenotype({ space, search }: Pick<Config, "space" | "search">): Genotype {
  const { kept, shared, fixed } = derivedCells({ space, search });
  const { nodes, primitives, name } = space;
  const cells = {
    space: findSpace(name),
    nodes,
    primitives,
    candidates: openCandidates(space),
    kept,
    shared,
  };
  return { ...largestCells(cells), ...fixed };
}
