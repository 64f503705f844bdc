// What a search space says about itself: the same for those of this library and those of a user's file.
import { UserError } from "../errors.ts";
import { allNodes, edgesOf } from "../genotype/genotype.ts";
import { isPrimitive, type Primitive } from "./primitives.ts";
import { DARTS_SKELETON, isBlock, isStem, type Skeleton } from "./skeleton.ts";

/** The two kinds of cells; a space whose size is halved by a block has the first alone. */
export type CellKind = "normal" | "reduce";

/** An edge of a cell: it reads the state `source` and ends in `node`, which counts from 0. */
export interface EdgePlace {
  readonly cell: CellKind;
  readonly node: number;
  /** 0, or 0 and 1, are what the cell reads; the nodes' states follow. */
  readonly source: number;
}

/** A search space as data. */
export interface SpaceDeclaration {
  /** The word that `space.name` takes. */
  readonly name: string;
  /** Where it is described. */
  readonly paper: string;
  /** Candidate operations, in the order of the alphas' columns. */
  readonly primitives: readonly Primitive[];
  /** Nodes of a cell; absent: as many as `space.nodes` says. */
  readonly nodes?: number;
  /** The candidates of an edge, an empty list where there is no edge; absent: every edge, with all primitives. */
  readonly edges?: (edge: EdgePlace) => readonly Primitive[];
  /**
   * What a cell keeps: what its search method derives (default), or the most probable operation of every edge, where
   * `none` may be that operation.
   */
  readonly keeps?: "method" | "every-edge";
  /** Whether the supernet has batch norm behind its pooling candidates (default: true, as in DARTS). */
  readonly poolNorm?: boolean;
  /** What of the network is not as in DARTS. */
  readonly skeleton?: Partial<Skeleton>;
  /** The network that its cells are published in; absent: that of DARTS on CIFAR-10, 20 cells of 36 channels. */
  readonly evaluation?: EvaluationShape;
}

/** The size of an evaluation network. */
export interface EvaluationShape {
  /** Channels of the first cell. */
  readonly channels: number;
  /** Cells, blocks among them. */
  readonly cells: number;
}

/** A search space whose defaults are filled in. */
export interface SearchSpace
  extends Omit<SpaceDeclaration, "keeps" | "poolNorm" | "skeleton" | "evaluation"> {
  readonly keeps: "method" | "every-edge";
  readonly poolNorm: boolean;
  readonly skeleton: Skeleton;
  readonly evaluation: EvaluationShape;
}

/** Names that a plugin is about to add beside its space. */
export interface AddedNames {
  readonly primitives: readonly string[];
  readonly blocks: readonly string[];
  readonly stems: readonly string[];
}

/**
 * The whole of a declaration, which may use what is `added` with it; throws a {@link UserError} for what it does not
 * know or does not go together.
 */
export function declareSpace(
  { skeleton, ...declaration }: SpaceDeclaration,
  added: AddedNames = { primitives: [], blocks: [], stems: [] },
): SearchSpace {
  const space: SearchSpace = {
    keeps: "method",
    poolNorm: true,
    evaluation: { channels: 36, cells: 20 },
    ...declaration,
    // The stem of ImageNet has as many channels as the first cell.
    skeleton: {
      ...DARTS_SKELETON,
      ...(skeleton?.stem === "imagenet" && { stemMultiplier: 1 }),
      ...skeleton,
    },
  };
  const fail = (what: string): never => {
    throw new UserError(`The space ${space.name}: ${what}`);
  };
  checkFields(space, fail);
  checkPrimitives(space, (name) => isPrimitive(name) || added.primitives.includes(name), fail);
  checkSkeleton(
    space,
    {
      block: (name) => isBlock(name) || added.blocks.includes(name),
      stem: (name) => isStem(name) || added.stems.includes(name),
    },
    fail,
  );
  if (space.edges && space.nodes === undefined)
    fail("edges is given, but nodes is not; expected the number of nodes too.");
  checkEdges(space, fail);
  return space;
}

/** The kinds of cells that a space searches. */
export function kindsOf({ skeleton }: Pick<SearchSpace, "skeleton">): readonly CellKind[] {
  return skeleton.reduction === "cell" ? ["normal", "reduce"] : ["normal"];
}

/** States that a cell of so many nodes puts out. */
export function outputOf({ inputs, output }: Skeleton, nodes: number): number[] {
  const states = allNodes(nodes, inputs);
  return output === "all" ? states : states.slice(-1);
}

type Fail = (what: string) => never;

/** What each field may be, by its name; a plugin's types are not checked when it is loaded. */
const FIELDS: Readonly<Record<string, (value: unknown) => boolean>> = {
  name: (value) => typeof value === "string",
  paper: (value) => typeof value === "string",
  primitives: (value) => Array.isArray(value),
  nodes: (value) => value === undefined || isCount(value),
  edges: (value) => value === undefined || typeof value === "function",
  keeps: (value) => value === "method" || value === "every-edge",
  poolNorm: (value) => typeof value === "boolean",
  skeleton: (value) => typeof value === "object",
  evaluation: (value) => typeof value === "object",
  "evaluation.channels": isCount,
  "evaluation.cells": isCount,
  "skeleton.inputs": (value) => value === 1 || value === 2,
  "skeleton.preprocess": (value) => typeof value === "boolean",
  "skeleton.output": (value) => value === "all" || value === "last",
  "skeleton.reduction": (value) => typeof value === "string",
  "skeleton.reductionsAt": (value) => typeof value === "function",
  "skeleton.stem": (value) => typeof value === "string",
  "skeleton.stemMultiplier": isCount,
  "skeleton.head": (value) => value === "pool" || value === "norm-relu-pool",
};

function isCount(value: unknown): boolean {
  return Number.isInteger(value) && Number(value) >= 1;
}

function checkFields(space: SearchSpace, fail: Fail): void {
  const { channels, cells, ...others } = space.evaluation ?? {};
  const parts = { skeleton: space.skeleton, evaluation: { channels, cells, ...others } };
  const inner = Object.entries(parts).flatMap(([part, fields]) =>
    Object.entries(fields).map(([key, value]) => [`${part}.${key}`, value] as const),
  );
  for (const [key, value] of [...Object.entries(space), ...inner]) {
    const isFine = Object.hasOwn(FIELDS, key) ? FIELDS[key] : undefined;
    if (!isFine) fail(`there is no field ${key}. It has: ${Object.keys(FIELDS).join(", ")}.`);
    else if (!isFine(value)) fail(`${key} is ${String(value)}, ${EXPECTED[key] ?? "of the wrong type"}.`);
  }
}

const EXPECTED: Readonly<Record<string, string>> = {
  paper: "expected a text: where the space is described",
  primitives: "expected a list of at least two operations",
  nodes: "expected a whole number, at least 1",
  edges: "expected a function from an edge to its candidates",
  keeps: "expected method or every-edge",
  poolNorm: "expected true or false",
  "evaluation.channels": "expected a whole number, at least 1",
  "evaluation.cells": "expected a whole number, at least 1",
  "skeleton.inputs": "expected 1 or 2",
  "skeleton.preprocess": "expected true or false",
  "skeleton.output": "expected all or last",
  "skeleton.reduction": "expected cell, residual, or a block with a create function",
  "skeleton.reductionsAt": "expected a function from the number of cells to the places that halve the size",
  "skeleton.stem": "expected cifar, imagenet, or a stem with a create function",
  "skeleton.stemMultiplier": "expected a whole number, at least 1",
  "skeleton.head": "expected pool or norm-relu-pool",
};

function checkPrimitives({ primitives }: SearchSpace, isKnown: (name: string) => boolean, fail: Fail): void {
  if (primitives.length < 2)
    fail(`primitives is ${primitives.join(", ")}, expected a list of at least two operations.`);
  const unknown = primitives.find((name) => !isKnown(name));
  if (unknown !== undefined)
    fail(`there is no operation ${unknown}. Name a known one, or export it from the same file.`);
  if (new Set(primitives).size < primitives.length)
    fail(`primitives is ${primitives.join(", ")}; expected each operation only once.`);
}

function checkSkeleton(
  { nodes, skeleton }: SearchSpace,
  isKnown: Readonly<Record<"block" | "stem", (name: string) => boolean>>,
  fail: Fail,
): void {
  const { inputs, preprocess, output, reduction, stem, stemMultiplier } = skeleton;
  if (reduction !== "cell" && !isKnown.block(reduction))
    fail(`skeleton.reduction is ${reduction}, ${EXPECTED["skeleton.reduction"]}.`);
  if (!isKnown.stem(stem)) fail(`skeleton.stem is ${stem}, ${EXPECTED["skeleton.stem"]}.`);
  if (stem === "imagenet" && stemMultiplier !== 1)
    fail(
      `skeleton.stemMultiplier is ${stemMultiplier}, but the stem of ImageNet has the first cell's channels: set it to 1.`,
    );
  if (preprocess) return;
  const keepsChannels = output === "last" || nodes === 1;
  if (inputs === 1 && keepsChannels && stemMultiplier === 1 && reduction !== "cell") return;
  fail(
    "skeleton.preprocess is false, but its cells do not read what has their channels. Expected inputs 1, output last, " +
      "stemMultiplier 1 and a block as reduction; or set preprocess to true.",
  );
}

function checkEdges(space: SearchSpace, fail: Fail): void {
  const { nodes = 0, edges, primitives, skeleton } = space;
  if (!edges) return;
  for (const cell of kindsOf(space)) {
    const open = new Set<number>();
    for (const { source, target } of edgesOf(nodes, skeleton.inputs)) {
      const node = target - skeleton.inputs;
      const own = edges({ cell, node, source });
      const unknown = own.find((name) => !primitives.includes(name));
      if (unknown !== undefined)
        fail(
          `edges gives ${unknown} on ${cell} ${source} → node ${node}, expected some of: ${primitives.join(", ")}.`,
        );
      if (own.some((name) => name !== "none")) open.add(node);
    }
    const lonely = Array.from({ length: nodes }, (_, node) => node).find((node) => !open.has(node));
    if (lonely !== undefined)
      fail(`node ${lonely} of the ${cell} cell has no edge with an operation, expected at least one.`);
  }
}
