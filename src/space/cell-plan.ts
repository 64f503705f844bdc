// What the fused kernels compute of a cell, as the numbers and tensors that darts::cell takes (native/kernels). One
// call covers a run of nodes, a segment. Most cells are one segment. An operation that the kernels do not have stands
// apart: libtorch computes it, and its node starts from the result; so a node ends the segment of the states that
// such an operation reads. Such cells take their inputs preprocessed: libtorch reads the states that these become.
import { BatchNorm2d } from "../nn/layers.ts";
import type { Layer } from "../nn/module.ts";
import type { Parameter, Tensor } from "../tensor/tensor.ts";
import { FactorizedReduce, ReLUConvBN } from "./operations.ts";
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

/** A cell. States 0 and 1 come from its inputs, the nodes come after them. */
export interface CellPlan {
  /** Of a state. */
  readonly channels: number;
  /** How the inputs become states 0 and 1; absent: they are these states. */
  readonly preprocess?: readonly [Layer, Layer];
  /** Groups of channels of which the operations see the first, while the others pass them by (K of PC-DARTS); absent: 1. */
  readonly groups?: number;
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

/** Layers as darts::cell takes them. */
export interface LayerArguments {
  readonly numbers: readonly number[];
  readonly weights: readonly Parameter[];
  readonly statistics: readonly Tensor[];
}

/** An operation that the kernels compute. Its numbers: edge of the segment, operation, kind of norm, index in the mixture or -1. */
export interface CoveredOperation extends Placed, LayerArguments {}

/** What one call of the kernels computes. */
export interface Segment {
  /** States of the cell that the call knows, by the number they have there: both inputs, those given, those computed. */
  readonly states: readonly number[];
  /** How many of `states` are given: the inputs and what earlier segments computed. */
  readonly given: number;
  /** Edges of the cell that the call computes. */
  readonly edges: readonly number[];
  readonly covered: readonly CoveredOperation[];
  /** Operations into the segment's nodes that libtorch computes. */
  readonly apart: readonly Placed[];
  /** Of both inputs. Their numbers: preprocessing and kind of norm. */
  readonly inputs: readonly LayerArguments[];
  /** The {@link callArguments} of all covered operations. */
  readonly all: LayerArguments;
  /** Source and target of each edge. */
  readonly edgeNumbers: readonly number[];
  readonly concat: readonly number[];
}

/** The kernels' operations by number: Operation in native/kernels/cell.h. */
const KERNEL_OPERATIONS: readonly Primitive[] = [...DARTS_PRIMITIVES, "sep_conv_7x7"];

/** The kernels' fixed sizes: kMaxNodes and kMaxEdges in native/kernels/cell.h. */
const MAX_NODES = 10;
const MAX_EDGES = 128;

/** What the kernels compute of a cell, and what libtorch does before them. */
export interface CellCover {
  readonly segments: readonly Segment[];
  /** Preprocessing that the kernels do not do. */
  readonly before?: readonly [Layer, Layer];
}

/** The arguments of a segment's inputs and of some of its operations as one; the numbers are the operations' alone. */
export function callArguments(
  inputs: readonly LayerArguments[],
  operations: readonly LayerArguments[],
): LayerArguments {
  const layers = [...inputs, ...operations];
  return {
    numbers: operations.flatMap(({ numbers }) => numbers),
    weights: layers.flatMap(({ weights }) => weights),
    statistics: layers.flatMap(({ statistics }) => statistics),
  };
}

/** A cell in segments, or undefined where the kernels have nothing to do or no room. */
export function coverCell(plan: CellPlan): CellCover | undefined {
  const operations = plan.edges.flatMap((edge) => edge.operations);
  const twice = plan.edges.some(
    (edge) => new Set(edge.operations.map(({ primitive }) => primitive)).size < edge.operations.length,
  );
  const fits = plan.nodes <= MAX_NODES && plan.edges.length <= MAX_EDGES && !twice;
  const any = operations.some((operation) => operation.primitive !== "none" && isCovered(operation));
  const whole = operations.every(isCovered);
  if (!fits || !any || (!whole && (plan.groups ?? 1) > 1)) return undefined;

  const { preprocess } = plan;
  if (whole && (!preprocess || preprocess.every(isKnown)))
    return { segments: [segment(plan, nodesOf(plan), { last: true, preprocess })] };
  const runs: number[][] = [[]];
  for (const node of nodesOf(plan)) {
    const run = runs.at(-1)!;
    const waits = plan.edges.some(
      (edge) => edge.target === node && run.includes(edge.source) && !edge.operations.every(isCovered),
    );
    if (waits) runs.push([node]);
    else run.push(node);
  }
  const segments = runs.map((run, i) => segment(plan, run, { last: i === runs.length - 1 }));
  return { segments, before: preprocess };
}

function nodesOf({ nodes }: CellPlan): number[] {
  return Array.from({ length: nodes }, (_, node) => node + 2);
}

function isCovered({ primitive }: CellOperation): boolean {
  return KERNEL_OPERATIONS.includes(primitive);
}

/** Exactly these classes: a layer of a class of its own computes something else. */
function isKnown(layer: Layer): boolean {
  return layer.constructor === ReLUConvBN || layer.constructor === FactorizedReduce;
}

function segment(
  plan: CellPlan,
  run: readonly number[],
  { last, preprocess = [] }: { last: boolean; preprocess?: readonly Layer[] },
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
  const covered = placed.filter(isCovered).map((operation): CoveredOperation => {
    const { edge, primitive, module, weight } = operation;
    const numbers = [
      edges.indexOf(edge),
      KERNEL_OPERATIONS.indexOf(primitive),
      normKind(module),
      weight ?? -1,
    ];
    return { ...operation, ...argumentsOf(module, numbers) };
  });
  const inputs =
    preprocess.length > 0
      ? preprocess.map((layer) => argumentsOf(layer, preprocessNumbers(layer)))
      : [AS_IT_IS, AS_IT_IS];
  return {
    states,
    given: 2 + earlier.length,
    edges,
    covered,
    apart: placed.filter((operation) => !isCovered(operation)),
    edgeNumbers: edges.flatMap((e) => [number(plan.edges[e].source), number(plan.edges[e].target)]),
    inputs,
    all: callArguments(inputs, covered),
    concat: put.map(number),
  };
}

function argumentsOf(layer: Layer, numbers: readonly number[]): LayerArguments {
  return { numbers, weights: layer.parameters(), statistics: layer.buffers() };
}

/** The number of a layer's class (Preprocess in native/kernels/cell.h), and how it is normalised. */
function preprocessNumbers(layer: Layer): readonly [number, number] {
  return [layer instanceof FactorizedReduce ? 2 : 1, normKind(layer)];
}

const AS_IT_IS: LayerArguments = { numbers: [0, 0], weights: [], statistics: [] };

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
