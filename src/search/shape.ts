// The supernet of the moment and how it is trained: what a method may change between two epochs. The search compares
// it with the present one at the beginning of an epoch, and rebuilds what differs.
import type { Config } from "../config/schema.ts";
import type { Candidates } from "../space/candidates.ts";
import { openCandidates } from "../space/spaces.ts";
import type { SearchMethod } from "./method.ts";

/** What a search trains in an epoch; plain JSON, as its checkpoints hold it. */
export interface SearchShape {
  /** Counts the supernets: with another number weights and both optimizers begin anew. Changes with channels or cells. */
  readonly stage: number;
  readonly channels: number;
  readonly cells: number;
  readonly batchSize: number;
  /** Candidates that are open on each edge. A stage's supernet is built with those of its beginning. */
  readonly candidates: Candidates;
  /** First epoch and length of the learning rate's schedule. */
  readonly schedule: { readonly first: number; readonly epochs: number };
}

/** The shape that a configuration gives, under what the method says otherwise. */
export function shapeOf({ search, space }: Config, method: Pick<SearchMethod, "shape">): SearchShape {
  const { channels, cells, batchSize, epochs } = search;
  return {
    stage: 0,
    channels,
    cells,
    batchSize,
    candidates: openCandidates(space),
    schedule: { first: 0, epochs },
    ...method.shape?.(),
  };
}

/** Whether two shapes are the same. */
export function sameShape(a: SearchShape, b: SearchShape): boolean {
  const text = ({ stage, channels, cells, batchSize, candidates, schedule }: SearchShape) =>
    JSON.stringify([stage, channels, cells, batchSize, candidates, schedule]);
  return text(a) === text(b);
}
