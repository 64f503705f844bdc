// The epoch whose cell a search ends with: `search.select`.
import type { Config } from "../config/schema.ts";
import { UserError } from "../errors.ts";
import { isOneLevel } from "../search/splits.ts";
import type { LoggedEvent, SearchEpochEvent } from "./events.ts";

/** The epoch that was taken, by which choice, and why. */
export interface Selection {
  readonly select: Config["search"]["select"];
  /** Counted from 0. */
  readonly epoch: number;
  readonly reason: string;
}

/**
 * Throws a {@link UserError} for a choice that the search can never make. `endsEarly`: whether a rule of its method's own
 * may end it.
 */
export function checkSelect(config: Config, { endsEarly }: { readonly endsEarly: boolean }): void {
  const { select, order, method } = config.search;
  if (select === "best-validation" && isOneLevel(config))
    throw new UserError(
      `search.select is best-validation, but search.order ${order} keeps no images for a validation. ` +
        "Set it to last, or the order to first or second.",
    );
  if (select === "guard" && config.guard.action === "off" && !endsEarly)
    throw new UserError(
      `search.select is guard, but guard.action is off and ${method} has no rule of its own that ends a search: there is ` +
        "nothing to go back for. Set search.select to last, or guard.action to warn or stop.",
    );
}

/** The selection among the epochs of a log, and that epoch. */
export function selectEpoch(
  select: Selection["select"],
  events: readonly LoggedEvent[],
): { readonly selection: Selection; readonly event: SearchEpochEvent } {
  const epochs = events.filter((event) => event.type === "search-epoch");
  const { epoch, reason } = choose(select, epochs, events);
  return { selection: { select, epoch, reason }, event: epochs.find((event) => event.epoch === epoch)! };
}

function choose(
  select: Selection["select"],
  epochs: readonly SearchEpochEvent[],
  events: readonly LoggedEvent[],
): { epoch: number; reason: string } {
  const last = epochs.at(-1)!.epoch;
  switch (select) {
    case "last":
      return { epoch: last, reason: "the last" };
    case "best-validation": {
      const best = epochs.reduce((a, b) => ((b.validAccuracy ?? 0) > (a.validAccuracy ?? 0) ? b : a));
      return { epoch: best.epoch, reason: "the first of the best validation accuracy" };
    }
    case "guard": {
      const fired = events.find((event) => event.type === "health" && event.kind === "collapse");
      if (fired?.type !== "health" || fired.back === undefined)
        return { epoch: last, reason: "the last, as no rule fired" };
      return { epoch: fired.back, reason: `before the rule ${fired.rule} fired at epoch ${fired.epoch + 1}` };
    }
  }
}
