// PC-DARTS: Partial Channel Connections for Memory-Efficient Architecture Search (Xu et al., ICLR 2020,
// arXiv:1907.05737). The operations of an edge see one channel in K, the others pass by, and a shuffle mixes them
// (section 3.2); each node weighs its edges by a softmax over logits of their own, the betas (section 3.3). Both
// kinds of logits are architecture parameters. The cell keeps the edges of the largest probability times edge weight.
// Its warm-up, in which only the weights move, is `search.archFromEpoch`.
import { derivePcDarts } from "../genotype/discretize.ts";
import { edgeOffset, type Inputs } from "../genotype/genotype.ts";
import type { OptionsOf } from "../methods/declaration.ts";
import type { pcDarts } from "../methods/pc-darts.ts";
import type { Candidates } from "../space/candidates.ts";
import { partialEdges } from "../space/partial-channels.ts";
import type { CellMixture } from "../space/supernet.ts";
import { aten } from "../tensor/aten.ts";
import { cat, type Tensor, tensor } from "../tensor/tensor.ts";
import {
  createAlphas,
  createBetas,
  dartsRule,
  deriveIn,
  inputsOf,
  logitsOf,
  logitsOn,
  mixtureOf,
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
  const { nodes, candidates } = context;
  const inputs = inputsOf(context);
  const alphas = createAlphas(context);
  const betas = edgeNormalization ? createBetas(context) : undefined;
  const mix = (
    logits: Tensor,
    beta: Tensor | undefined,
    own: Candidates["normal"] | undefined,
  ): CellMixture => {
    const operations = probabilities(logits, softmax, inputs);
    return beta ? { operations, edges: edgeWeights(there(beta, own), nodes, inputs) } : { operations };
  };
  const cells = () => {
    const { normal, reduce } = logitsOn(alphas, candidates);
    return {
      normal: mix(normal, betas?.normal, candidates?.normal),
      reduce: reduce && mix(reduce, betas?.reduce, candidates?.reduce),
    };
  };
  return {
    alphas: new Map([...named("alphas", alphas), ...(betas ? named("betas", betas) : [])]),
    createEdge: partialEdges(partialChannels),
    mixture() {
      const { normal, reduce } = cells();
      return mixtureOf(normal, reduce);
    },
    step: (step) => dartsStep(step, context),
    derive() {
      if (!betas) return deriveIn(context, rowsOf(alphas, candidates), dartsRule(softmax));
      const { normal, reduce } = logitsOf(betas);
      const logits = { ...rowsOf(alphas, candidates), normalBetas: normal, reduceBetas: reduce };
      return deriveIn(context, logits, derivePcDarts);
    },
    alphaRows: () => rowsOf(alphas, candidates),
    strengths() {
      const strong = ({ operations, edges }: CellMixture) => ({
        operations: edges ? operations.mul(edges.reshape([-1, 1])) : operations,
      });
      const { normal, reduce } = cells();
      return { normal: strong(normal), ...(reduce && { reduce: strong(reduce) }) };
    },
    ...(betas && { edgeLogits: () => logitsOf(betas) }),
  };
}

/** A softmax over the edges into each node, [edges]. */
export function edgeWeights(betas: Tensor, nodes: number, inputs?: Inputs): Tensor {
  const byNode = Array.from({ length: nodes }, (_, node) =>
    aten.slice.Tensor(betas, 0, edgeOffset(node, inputs), edgeOffset(node + 1, inputs)).softmax(0),
  );
  return cat(byNode, 0);
}

/** The betas, but no weight for edges that are not there. */
function there(betas: Tensor, candidates: Candidates["normal"] | undefined): Tensor {
  if (!candidates?.some((own) => own.length === 0)) return betas;
  const { shape, dtype, device } = betas;
  const mask = candidates.map((own) => (own.length > 0 ? 0 : Number.NEGATIVE_INFINITY));
  return betas.add(tensor(mask, shape, { dtype, device }));
}
