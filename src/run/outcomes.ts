// What the phases of a run end with; the event log keeps it, so that a resumed run need not repeat them.
import type { Genotype } from "../genotype/genotype.ts";
import type { BudgetCheck } from "../search/budget.ts";
import type { Evaluation } from "../train/evaluate.ts";
import type { Selection } from "./select.ts";

/** What a search ended with. */
export interface SearchOutcome {
  readonly genotype: Genotype;
  /** Which epoch's cell it is. */
  readonly selection: Selection;
  /** Validation accuracy of the supernet in that epoch; null in a one-level search. */
  readonly validAccuracy: number | null;
  readonly epochs: number;
  readonly seconds: number;
  /** The derived network's figures beside the limits of the budget, where there are any. */
  readonly budget?: readonly BudgetCheck[];
}

/** A cell and what its training came to. */
export interface TrainOutcome {
  /** `found`, or `random-1` and so on. */
  readonly cell: string;
  readonly genotype: Genotype;
  readonly params: number;
  readonly macs: number;
  /** Measured on the test images after the last epoch. */
  readonly last: Evaluation;
  /** The same of the epoch with the lowest training loss: the test images choose nothing. */
  readonly best: Evaluation;
  readonly bestEpoch: number;
  readonly seconds: number;
  /** Its figures beside the limits of the budget, where there are any. */
  readonly budget?: readonly BudgetCheck[];
  /** Of a random cell: how many were drawn until one kept the budget, where there is one. */
  readonly draws?: number;
}
