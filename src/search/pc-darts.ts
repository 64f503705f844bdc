// PC-DARTS: Partial Channel Connections for Memory-Efficient Architecture Search (Xu et al., ICLR 2020,
// arXiv:1907.05737). The operations of an edge see one channel in K, the others pass by, and a shuffle mixes them
// (section 3.2); each node weighs its edges by a softmax over logits of their own, the betas (section 3.3). Both
// kinds of logits are architecture parameters. The cell keeps the edges of the largest probability times edge weight.
// Its warm-up, in which only the weights move, is `search.archFromEpoch`.
import { deriveGenotype, derivePcDarts } from "../genotype/discretize.ts";
import { edgeOffset } from "../genotype/genotype.ts";
import type { OptionsOf } from "../methods/declaration.ts";
import type { pcDarts } from "../methods/pc-darts.ts";
import { partialEdges } from "../space/partial-channels.ts";
import type { CellMixture } from "../space/supernet.ts";
import { aten } from "../tensor/aten.ts";
import { cat, type Tensor } from "../tensor/tensor.ts";
import {
  createAlphas,
  createBetas,
  dartsRule,
  logitsOf,
  logitsOn,
  named,
  probabilities,
  rowsOf,
} from "./alphas.ts";
import { dartsStep } from "./darts.ts";
import type { MethodContext, SearchMethod } from "./method.ts";

/** The method of the PC-DARTS paper. */
export function createPcDarts(
  context: MethodContext,
  { partialChannels, edgeNormalization, softmax }: OptionsOf<typeof pcDarts>,
): SearchMethod {
  const { nodes, primitives, candidates } = context;
  const alphas = createAlphas(context);
  const betas = edgeNormalization ? createBetas(context) : undefined;
  const mix = (cell: "normal" | "reduce"): CellMixture => {
    const operations = probabilities(logitsOn(alphas, candidates)[cell], softmax);
    return betas ? { operations, edges: edgeWeights(betas[cell], nodes) } : { operations };
  };
  return {
    alphas: new Map([...named("alphas", alphas), ...(betas ? named("betas", betas) : [])]),
    createEdge: partialEdges(partialChannels),
    mixture: () => ({ normal: mix("normal"), reduce: mix("reduce") }),
    step: (step) => dartsStep(step, context),
    derive() {
      if (!betas) return deriveGenotype(rowsOf(alphas, candidates), primitives, dartsRule(softmax));
      const { normal, reduce } = logitsOf(betas);
      const logits = { ...rowsOf(alphas, candidates), normalBetas: normal, reduceBetas: reduce };
      return deriveGenotype(logits, primitives, derivePcDarts);
    },
    alphaRows: () => rowsOf(alphas, candidates),
    strengths() {
      const strong = (cell: "normal" | "reduce") => {
        const { operations, edges } = mix(cell);
        return { operations: edges ? operations.mul(edges.reshape([-1, 1])) : operations };
      };
      return { normal: strong("normal"), reduce: strong("reduce") };
    },
    ...(betas && { edgeLogits: () => logitsOf(betas) }),
  };
}

/** A softmax over the edges into each node, [edges]. */
export function edgeWeights(betas: Tensor, nodes: number): Tensor {
  const byNode = Array.from({ length: nodes }, (_, node) =>
    aten.slice.Tensor(betas, 0, edgeOffset(node), edgeOffset(node + 1)).softmax(0),
  );
  return cat(byNode, 0);
}
