// The picture of a run's alphas, from its event log.
import { UserError } from "../errors.ts";
import { type AlphaEpoch, cellProbabilities, drawAlphasSvg } from "../genotype/draw-alphas.ts";
import { softmaxOver } from "../methods/table.ts";
import { readEvents } from "./events.ts";
import type { RunFolder } from "./run-folder.ts";

/** The picture of a run's alphas so far, and their probabilities at its last epoch. */
export interface AlphasDrawing {
  readonly svg: string;
  readonly epochs: number;
  readonly last: Readonly<Record<"normal" | "reduce", ReturnType<typeof cellProbabilities>>>;
}

/** Draws the epochs that a run has searched; undefined where none has alphas: no search, or a random one. */
export function drawAlphas({ config, files }: RunFolder): AlphasDrawing | undefined {
  const epochs: AlphaEpoch[] = readEvents(files.events).filter((event) => event.type === "search-epoch");
  const last = epochs.at(-1);
  if (!last || last.alphas.normal.length === 0) return undefined;
  const softmax = softmaxOver(config.search);
  const svg = drawAlphasSvg(epochs, {
    primitives: config.space.primitives,
    softmax,
  });
  const at = (cell: "normal" | "reduce") =>
    last.alphas[cell].length > 0
      ? cellProbabilities(last, cell, softmax)
      : { operations: [], edges: undefined };
  return { svg, epochs: epochs.length, last: { normal: at("normal"), reduce: at("reduce") } };
}

/** {@link drawAlphas}; throws a {@link UserError} where there are none. */
export function requireAlphas(run: RunFolder): AlphasDrawing {
  const drawing = drawAlphas(run);
  if (drawing) return drawing;
  throw new UserError(
    `${run.path} has no alphas: expected a run of a method that learns them, and one finished epoch of its search.`,
  );
}
