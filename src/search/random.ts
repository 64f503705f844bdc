// Random search, the baseline of every search (Li, Talwalkar, UAI 2019, arXiv:1902.07638; DARTS, section 3.2): cells are
// drawn uniformly by the rule of the space's random cells, and each is trained on the weights' images for as many epochs
// as any other, one after the other in stages of new weights. Every epoch is validated; search.select best-validation,
// its own choice, takes the cell of the best one. Nothing is learned of the cells: there are no alphas.
// A stage's network is the supernet with the drawn operations alone, each of weight 1.
import { edgeOffset, edgesByNode, type Genotype, type Inputs } from "../genotype/genotype.ts";
import { largestCells } from "../genotype/largest.ts";
import { randomGenotype } from "../genotype/random.ts";
import type { OptionsOf } from "../methods/declaration.ts";
import type { random } from "../methods/random.ts";
import { allCandidates, type Candidates } from "../space/candidates.ts";
import type { Primitive } from "../space/primitives.ts";
import { DARTS_SPACE } from "../space/spaces.ts";
import type { CellMixture } from "../space/supernet.ts";
import { full } from "../tensor/tensor.ts";
import { weightStep } from "./bilevel.ts";
import type { MethodContext, SearchMethod } from "./method.ts";

/** Random search at work: the cells are drawn when it is made, from the search's stream. */
export function createRandom(context: MethodContext, { draws }: OptionsOf<typeof random>): SearchMethod {
  const { space = DARTS_SPACE, nodes, primitives, epochs, device } = context;
  const { inputs } = space.skeleton;
  const edges = edgeOffset(nodes, inputs);
  const candidates = context.candidates ?? allCandidates(edges, primitives.length);
  const drawn = { space, nodes, primitives, candidates };
  let cells = Array.from({ length: draws }, () => randomGenotype(context.random, drawn));
  const share = Math.floor(epochs / draws);
  let stage = 0;
  const open = () => columnsOf(cells[stage]!, primitives, inputs);
  return {
    alphas: new Map(),
    mixture() {
      const active = open();
      const operations = full([edges, primitives.length], 1, { device });
      const mix = (cell: keyof Candidates): CellMixture => ({ operations, active: active[cell] });
      return { normal: mix("normal"), reduce: mix("reduce") };
    },
    step: weightStep,
    derive: () => cells[stage]!,
    alphaRows: () => ({ normal: [], reduce: [] }),
    figures: () => ({ draw: stage }),
    shape: () => ({ stage, candidates: open(), schedule: { first: stage * share, epochs: share } }),
    rehearsals: [
      () => {
        cells = [largestCells({ ...drawn, kept: space.keeps === "every-edge" ? "every" : 2 })];
      },
    ],
    endEpoch(epoch) {
      if (epoch + 1 < epochs) stage = Math.floor((epoch + 1) / share);
      return undefined;
    },
    state: () => stage,
    restore(saved) {
      stage = saved as number;
    },
  };
}

/** What a genotype has on each edge of the supernet, by column. */
function columnsOf(genotype: Genotype, primitives: readonly Primitive[], inputs: Inputs): Candidates {
  const columns = (cell: "normal" | "reduce") =>
    edgesByNode(genotype[cell]).flatMap((edges, node) =>
      Array.from({ length: node + inputs }, (_, from) =>
        edges
          .flatMap(([op, source]) => (source === from ? [primitives.indexOf(op)] : []))
          .sort((a, b) => a - b),
      ),
    );
  return { normal: columns("normal"), reduce: columns("reduce") };
}
