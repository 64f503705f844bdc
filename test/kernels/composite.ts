// The oracle of the fused cell: the same edges in float64, composed of libtorch's operators.
import { edgeOffset } from "../../src/genotype/genotype.ts";
import { BlockedImages } from "../../src/space/blocked.ts";
import { type FusedCell, fuseCell } from "../../src/space/fused-cell.ts";
import { MixedOp } from "../../src/space/mixed-op.ts";
import { PartialMixedOp } from "../../src/space/partial-channels.ts";
import type { Primitive } from "../../src/space/primitives.ts";
import { type CellMixture, mixedPlan } from "../../src/space/supernet.ts";
import { grad } from "../../src/tensor/autograd.ts";
import { cat, type Tensor } from "../../src/tensor/tensor.ts";

/** A cell's body to compare on: sizes of the inputs, and which operations it mixes. */
export interface Case {
  readonly images: number;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  readonly nodes: number;
  readonly reduction: boolean;
  readonly primitives: readonly Primitive[];
  readonly active?: readonly (readonly number[])[];
  /** K of partial channels, with weights of the edges; absent: none of both. */
  readonly share?: number;
}

/** The edges of a cell, each a mixed operation. */
export function createEdges({ channels, nodes, reduction, primitives, share }: Case): MixedOp[] {
  const edges: MixedOp[] = [];
  for (let node = 0; node < nodes; node++) {
    for (let source = 0; source < node + 2; source++) {
      const stride = reduction && source < 2 ? 2 : 1;
      const context = { channels, stride, primitives, edge: edges.length, reduction };
      edges.push(share === undefined ? new MixedOp(context) : new PartialMixedOp(context, share));
    }
  }
  return edges;
}

/** The same edges on the kernels, without preprocessing. */
export function createFused(it: Case, modules: readonly MixedOp[]): FusedCell {
  const { channels, nodes, reduction, primitives } = it;
  return fuseCell(mixedPlan(modules, { channels, nodes, reduction, primitives })!)!;
}

/** A fused cell from images to images, as SupernetCell calls it. */
export function fusedBody(
  cell: FusedCell,
  s0: Tensor,
  s1: Tensor,
  { operations, edges, active }: CellMixture,
  training = true,
): Tensor {
  const mixture = edges ? operations.mul(edges.reshape([-1, 1])) : operations;
  const pass = { training, mixture, bypass: edges, active };
  return cell.forward(BlockedImages.from(s0), BlockedImages.from(s1), pass).toImages();
}

/** What SupernetCell computes after its preprocessing. */
export function compositeBody(
  edges: readonly MixedOp[],
  nodes: number,
  s0: Tensor,
  s1: Tensor,
  { operations, edges: edgeWeights, active }: CellMixture,
): Tensor {
  const states = [s0, s1];
  for (let node = 0; node < nodes; node++) {
    const first = edgeOffset(node);
    const values = states.map((state, j) => {
      const e = first + j;
      const value = edges[e].forward(state, operations.select(0, e), active?.[e]);
      return edgeWeights ? value.mul(edgeWeights.select(0, e)) : value;
    });
    states.push(values.reduce((a, b) => a.add(b)));
  }
  return cat(states.slice(2), 1);
}

/** The output, and by name all gradients of its product with `cotangent`. */
export function withGradients(
  output: Tensor,
  cotangent: Tensor,
  inputs: ReadonlyMap<string, Tensor>,
): Map<string, Tensor | undefined> {
  const gradients = grad([output], [...inputs.values()], { gradOutputs: [cotangent] });
  return new Map([...inputs.keys()].map((name, i) => [name, gradients[i]]));
}
