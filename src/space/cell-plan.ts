// What the fused kernels compute of a cell, as the numbers and tensors that darts::cell takes (native/kernels). One
// call covers a run of nodes, a segment. Most cells are one segment. An operation that the kernels do not have stands
// apart: libtorch computes it, and its node starts from the result; so a node ends the segment of the states that
// such an operation reads.
import { BatchNorm2d } from "../nn/layers.ts";
import type { Layer } from "../nn/module.ts";
import type { Parameter, Tensor } from "../tensor/tensor.ts";
import { DARTS_PRIMITIVES, type Primitive } from "./primitives.ts";

/** An operation on an edge. */
export interface CellOperation {
  readonly primitive: Primitive;
  readonly module: Layer;
  /** Index of its weight in the flattened mixture; absent: it counts once. */
  readonly weight?: number;
}

/** An edge of a cell: what its operations make of state `source` is summed into state `target`. */
export interface CellEdge {
  readonly source: number;
  readonly target: number;
  readonly operations: readonly CellOperation[];
}

/** A cell's body. States 0 and 1 are its inputs, the nodes come after them. */
export interface CellPlan {
  readonly edges: readonly CellEdge[];
  readonly nodes: number;
  /** Whether what leaves states 0 and 1 has stride 2. */
  readonly reduction: boolean;
  /** Nodes' states that are put out, in this order. */
  readonly concat: readonly number[];
}

/** An operation with its place: `edge` in the cell, `index` on the edge. */
export interface Placed extends CellOperation {
  readonly edge: number;
  readonly index: number;
}

/** What one call of the kernels computes. */
export interface Segment {
  /** States of the cell that the call knows, by the number they have there: both inputs, those given, those computed. */
  readonly states: readonly number[];
  /** How many of `states` are given: the inputs and what earlier segments computed. */
  readonly given: number;
  /** Edges of the cell that the call computes. */
  readonly edges: readonly number[];
  readonly covered: readonly Placed[];
  /** Operations into the segment's nodes that libtorch computes. */
  readonly apart: readonly Placed[];
  /** Arguments of darts::cell. */
  readonly edgeNumbers: readonly number[];
  readonly operationNumbers: readonly number[];
  readonly weights: readonly Parameter[];
  readonly statistics: readonly Tensor[];
  readonly concat: readonly number[];
}

/** The kernels' operations by number: Operation in native/kernels/cell.h. */
const KERNEL_OPERATIONS: readonly Primitive[] = [...DARTS_PRIMITIVES, "sep_conv_7x7"];

/** The kernels' fixed sizes: kMaxNodes and kMaxEdges in native/kernels/cell.h. */
const MAX_NODES = 10;
const MAX_EDGES = 128;

/** A cell in segments, or undefined where the kernels have nothing to do or no room. */
export function segmentsOf(plan: CellPlan): Segment[] | undefined {
  const isCovered = ({ primitive }: CellOperation) => KERNEL_OPERATIONS.includes(primitive);
  const twice = plan.edges.some(
    ({ operations }) => new Set(operations.map(({ primitive }) => primitive)).size < operations.length,
  );
  const fits = plan.nodes <= MAX_NODES && plan.edges.length <= MAX_EDGES && !twice;
  const any = plan.edges.some(({ operations }) =>
    operations.some((operation) => operation.primitive !== "none" && isCovered(operation)),
  );
  if (!fits || !any) return undefined;

  const runs: number[][] = [[]];
  for (let node = 2; node < plan.nodes + 2; node++) {
    const run = runs.at(-1)!;
    const waits = plan.edges.some(
      ({ source, target, operations }) =>
        target === node && run.includes(source) && !operations.every(isCovered),
    );
    if (waits) runs.push([node]);
    else run.push(node);
  }
  return runs.map((run, i) => segment(plan, run, { last: i === runs.length - 1, isCovered }));
}

function segment(
  plan: CellPlan,
  run: readonly number[],
  { last, isCovered }: { last: boolean; isCovered: (operation: CellOperation) => boolean },
): Segment {
  const edges = [...plan.edges.keys()].filter((e) => run.includes(plan.edges[e].target));
  const put = last ? plan.concat : run;
  const read = [...edges.map((e) => plan.edges[e].source), ...put];
  const earlier = [...new Set(read)].filter((state) => state >= 2 && state < run[0]).sort((a, b) => a - b);
  const states = [0, 1, ...earlier, ...run];
  const number = (state: number) => states.indexOf(state);
  const placed = edges.flatMap((e) =>
    plan.edges[e].operations.map((operation, index): Placed => ({ ...operation, edge: e, index })),
  );
  const covered = placed.filter(isCovered);
  return {
    states,
    given: 2 + earlier.length,
    edges,
    covered,
    apart: placed.filter((operation) => !isCovered(operation)),
    edgeNumbers: edges.flatMap((e) => [number(plan.edges[e].source), number(plan.edges[e].target)]),
    operationNumbers: covered.flatMap(({ edge, primitive, module, weight }) => [
      edges.indexOf(edge),
      KERNEL_OPERATIONS.indexOf(primitive),
      normKind(module),
      weight ?? -1,
    ]),
    weights: covered.flatMap(({ module }) => module.parameters()),
    statistics: covered.flatMap(({ module }) => module.buffers()),
    concat: put.map(number),
  };
}

/** How an operation is normalised: 0 not at all, 1 without scale and shift, 2 with. */
function normKind(module: Layer): number {
  const norm = findNorm(module);
  return norm ? (norm.weight ? 2 : 1) : 0;
}

/** The first batch normalisation of an operation, if there is one. */
export function findNorm(module: Layer): BatchNorm2d | undefined {
  for (const part of module.modules()) if (part instanceof BatchNorm2d) return part;
  return undefined;
}
