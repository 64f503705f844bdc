// Random search, the baseline of every search (Li, Talwalkar, UAI 2019, arXiv:1902.07638; DARTS, section 3.2): cells are
// drawn uniformly by the rule of the space's random cells, and each is trained on the weights' images for as many epochs
// as any other, one after the other in stages of new weights. Every epoch is validated; search.select best-validation,
// its own choice, takes the cell of the best one. Nothing is learned of the cells: there are no alphas.
// A stage's network is the supernet with the drawn operations alone, each of weight 1.
import type { Genotype } from "../genotype/genotype.ts";
import { allNodes, cellOf, type Edge, edgeOffset, edgesByNode } from "../genotype/genotype.ts";
import { randomGenotype } from "../genotype/random.ts";
import type { OptionsOf } from "../methods/declaration.ts";
import type { random } from "../methods/random.ts";
import { allCandidates, type Candidates } from "../space/candidates.ts";
import { BY_MEMORY, type Primitive } from "../space/primitives.ts";
import type { CellMixture } from "../space/supernet.ts";
import { full } from "../tensor/tensor.ts";
import { weightStep } from "./bilevel.ts";
import type { MethodContext, SearchMethod } from "./method.ts";

/** Random search at work: the cells are drawn when it is made, from the search's stream. */
export function createRandom(context: MethodContext, { draws }: OptionsOf<typeof random>): SearchMethod {
  const { nodes, primitives, candidates, epochs, device } = context;
  let cells = Array.from({ length: draws }, () =>
    randomGenotype(context.random, { nodes, primitives, candidates }),
  );
  const share = Math.floor(epochs / draws);
  let stage = 0;
  const drawn = () => columnsOf(cells[stage]!, primitives);
  return {
    alphas: new Map(),
    mixture() {
      const active = drawn();
      const operations = full([edgeOffset(nodes), primitives.length], 1, { device });
      const mix = (cell: keyof Candidates): CellMixture => ({ operations, active: active[cell] });
      return { normal: mix("normal"), reduce: mix("reduce") };
    },
    step: weightStep,
    derive: () => cells[stage]!,
    alphaRows: () => ({ normal: [], reduce: [] }),
    figures: () => ({ draw: stage }),
    shape: () => ({ stage, candidates: drawn(), schedule: { first: stage * share, epochs: share } }),
    // No cell takes more memory than one of the largest operations alone.
    rehearsals: [
      () => {
        cells = [largestCell(context)];
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
function columnsOf(genotype: Genotype, primitives: readonly Primitive[]): Candidates {
  const columns = (cell: "normal" | "reduce") =>
    edgesByNode(genotype[cell]).flatMap((edges, node) =>
      Array.from({ length: node + 2 }, (_, from) =>
        edges
          .flatMap(([op, source]) => (source === from ? [primitives.indexOf(op)] : []))
          .sort((a, b) => a - b),
      ),
    );
  return { normal: columns("normal"), reduce: columns("reduce") };
}

/** A genotype whose nodes keep their first two edges with the largest operation of each. */
function largestCell({ nodes, primitives, candidates }: MethodContext): Genotype {
  const open = candidates ?? allCandidates(edgeOffset(nodes), primitives.length);
  const rank = (k: number) => {
    const place = BY_MEMORY.indexOf(primitives[k]!);
    return primitives[k] === "none" ? BY_MEMORY.length : place; // a plugin's counts as the largest
  };
  const cell = (kind: keyof Candidates) =>
    cellOf(
      Array.from({ length: nodes }, (_, node) =>
        [0, 1].map((from): Edge => {
          const columns = open[kind][edgeOffset(node) + from]!;
          return [primitives[columns.reduce((a, b) => (rank(b) < rank(a) ? b : a))]!, from];
        }),
      ),
    );
  const concat = allNodes(nodes);
  return { normal: cell("normal"), normalConcat: concat, reduce: cell("reduce"), reduceConcat: concat };
}
