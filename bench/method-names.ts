// What `bench methods` measures, as the runner and its contenders tell each other. Apart from method-steps.ts, so that
// the runner does not load libtorch itself.
import type { Order } from "../src/methods/declaration.ts";

/** A step of a method by its `paper` preset. */
export interface MethodRequest {
  readonly work: "method-step";
  readonly method: string;
  readonly order: Order;
  /** Number of one of the shapes that its supernet takes in a search. */
  readonly shape: number;
  readonly threads: number;
}

/** A step that there is to measure. */
export interface MethodStep extends Omit<MethodRequest, "work" | "threads"> {
  /** How many shapes there are. */
  readonly shapes: number;
  readonly cells: number;
  readonly batch: number;
  /** Operations of the normal cell, over all of its edges. */
  readonly operations: number;
}

/** The step that all are measured by. */
export const REFERENCE = { method: "darts", order: "first" } as const;
