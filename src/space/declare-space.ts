// What a search space says about itself: the same for those of this library and those of a user's file.
import { UserError } from "../errors.ts";
import { allNodes, edgesOf } from "../genotype/genotype.ts";
import { isPrimitive, type Primitive } from "./primitives.ts";
import { DARTS_SKELETON, isBlock, type Skeleton } from "./skeleton.ts";

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
}

/** A search space whose defaults are filled in. */
export interface SearchSpace extends Omit<SpaceDeclaration, "keeps" | "poolNorm" | "skeleton"> {
  readonly keeps: "method" | "every-edge";
  readonly poolNorm: boolean;
  readonly skeleton: Skeleton;
}

/** The whole of a declaration; throws a {@link UserError} for what does not go together. */
export function declareSpace({ skeleton, ...declaration }: SpaceDeclaration): SearchSpace {
  const space: SearchSpace = {
    keeps: "method",
    poolNorm: true,
    ...declaration,
    skeleton: { ...DARTS_SKELETON, ...skeleton },
  };
  const fail = (what: string): never => {
    throw new UserError(`The space ${space.name}: ${what}`);
  };
  checkPrimitives(space, fail);
  checkSkeleton(space, fail);
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

function checkPrimitives({ primitives }: SearchSpace, fail: Fail): void {
  if (!Array.isArray(primitives) || primitives.length < 2)
    fail(`primitives is ${primitives}, expected a list of at least two operations.`);
  const unknown = primitives.find((name) => !isPrimitive(name));
  if (unknown !== undefined)
    fail(`there is no operation ${unknown}. Name a known one, or export it from the same file.`);
  if (new Set(primitives).size < primitives.length)
    fail(`primitives is ${primitives.join(", ")}; expected each operation only once.`);
}

function checkSkeleton({ nodes, skeleton }: SearchSpace, fail: Fail): void {
  const { inputs, preprocess, output, reduction, stemMultiplier } = skeleton;
  if (nodes !== undefined && (!Number.isInteger(nodes) || nodes < 1))
    fail(`nodes is ${nodes}, expected a whole number, at least 1.`);
  if (inputs !== 1 && inputs !== 2) fail(`skeleton.inputs is ${inputs}, expected 1 or 2.`);
  if (!Number.isInteger(stemMultiplier) || stemMultiplier < 1)
    fail(`skeleton.stemMultiplier is ${stemMultiplier}, expected a whole number, at least 1.`);
  if (reduction !== "cell" && !isBlock(reduction))
    fail(`skeleton.reduction is ${reduction}, expected cell, residual, or a block with a create function.`);
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
