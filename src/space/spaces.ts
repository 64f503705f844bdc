// The search spaces that have a name: that of DARTS, the four of RobustDARTS in which DARTS fails (Zela et al., ICLR
// 2020, section 3: S1 to S4), that of NAS-Bench-201, and those of plugins. S1 gives every edge two candidates of its own.
import { nearest } from "../config/nearest.ts";
import { UserError } from "../errors.ts";
import { edgeOffset, edgesOf } from "../genotype/genotype.ts";
import type { Candidates } from "./candidates.ts";
import {
  type CellKind,
  declareSpace,
  kindsOf,
  type SearchSpace,
  type SpaceDeclaration,
} from "./declare-space.ts";
import { NAS_BENCH_201 } from "./nas-bench-201.ts";
import { DARTS_PRIMITIVES, type Primitive } from "./primitives.ts";
import { DARTS_SKELETON } from "./skeleton.ts";

const [max, avg, skip] = ["max_pool_3x3", "avg_pool_3x3", "skip_connect"] as const;
const [s3, d3, d5] = ["sep_conv_3x3", "dil_conv_3x3", "dil_conv_5x5"] as const;
const DARTS = "Liu, Simonyan, Yang: DARTS: Differentiable Architecture Search, ICLR 2019";
const ROBUST =
  "Zela et al.: Understanding and Robustifying Differentiable Architecture Search, ICLR 2020 (RobustDARTS)";

/** The candidates of S1, edge by edge. */
const S1: Readonly<Record<CellKind, readonly (readonly Primitive[])[]>> = {
  normal: [
    [skip, d3],
    [skip, d5],
    [skip, d5],
    [skip, s3],
    [skip, d3],
    [max, skip],
    [skip, s3],
    [skip, s3],
    [skip, d3],
    [skip, s3],
    [max, skip],
    [skip, d3],
    [d3, d5],
    [d3, d5],
  ],
  reduce: [
    [max, avg],
    [max, d3],
    [max, avg],
    [max, avg],
    [skip, d5],
    [max, avg],
    [max, s3],
    [skip, d3],
    [skip, d5],
    [max, avg],
    [max, avg],
    [skip, d5],
    [skip, d5],
    [skip, d5],
  ],
};

const DECLARED: readonly SpaceDeclaration[] = [
  { name: "darts", paper: DARTS, primitives: DARTS_PRIMITIVES },
  {
    name: "s1",
    paper: ROBUST,
    primitives: [max, avg, skip, s3, d3, d5],
    nodes: 4,
    edges: ({ cell, node, source }) => S1[cell][edgeOffset(node) + source]!,
  },
  { name: "s2", paper: ROBUST, primitives: [skip, s3] },
  { name: "s3", paper: ROBUST, primitives: ["none", skip, s3] },
  { name: "s4", paper: ROBUST, primitives: ["noise", s3] },
  NAS_BENCH_201,
];

const spaces = new Map(DECLARED.map((declaration) => [declaration.name, declareSpace(declaration)]));

/** The space of DARTS, which a configuration has that names no other. */
export const DARTS_SPACE = spaces.get("darts")!;

/** Every space, in the order of the table. */
export function declaredSpaces(): readonly SearchSpace[] {
  return [...spaces.values()];
}

/** The names, in the order of the table. */
export function spaceNames(): readonly string[] {
  return [...spaces.keys()];
}

/** Whether there is a space of that name. */
export function isSpace(name: unknown): name is string {
  return typeof name === "string" && spaces.has(name);
}

/** The space called `name`; a {@link UserError} names the nearest there is. */
export function findSpace(name: string): SearchSpace {
  const space = spaces.get(name);
  if (space) return space;
  const guess = nearest(name, spaceNames());
  throw new UserError(
    `Unknown space '${name}'${guess ? `; did you mean '${guess}'?` : ""} There is: ${spaceNames().join(", ")}. ` +
      "A space of a plugin is known once that is loaded: --plugin FILE",
  );
}

/** Adds a space; configurations that are read from now on can name it. Its name must be free. */
export function addSpace(space: SearchSpace): void {
  spaces.set(space.name, space);
}

/** The name that genotypes of a space carry: none where its cells and network are those of DARTS. */
export function genotypeSpace({ name, skeleton }: SearchSpace): { readonly space?: string } {
  const [ours, darts] = [skeleton, DARTS_SKELETON];
  const same = (Object.keys(darts) as (keyof typeof darts)[]).every((key) => ours[key] === darts[key]);
  return same ? {} : { space: name };
}

/** What a configuration says of its space. */
export interface SpaceSettings {
  readonly name: string;
  readonly nodes: number;
  readonly primitives: readonly Primitive[];
}

/** The candidates of each edge of a configuration's space; undefined where every edge has all of them. */
export function spaceCandidates({ name, nodes, primitives }: SpaceSettings): Candidates | undefined {
  const space = findSpace(name);
  const { edges, skeleton } = space;
  if (!edges) return undefined;
  const rows = (cell: CellKind) =>
    kindsOf(space).includes(cell)
      ? edgesOf(nodes, skeleton.inputs).map(({ source, target }) =>
          edges({ cell, node: target - skeleton.inputs, source })
            .map((primitive) => primitives.indexOf(primitive))
            .sort((a, b) => a - b),
        )
      : [];
  return { normal: rows("normal"), reduce: rows("reduce") };
}

/** {@link spaceCandidates}, all written out: no rows for a kind of cell that the space does not have. */
export function openCandidates(settings: SpaceSettings): Candidates {
  const space = findSpace(settings.name);
  const row = settings.primitives.map((_, k) => k);
  const all = edgesOf(settings.nodes, space.skeleton.inputs).map(() => row);
  return spaceCandidates(settings) ?? { normal: all, reduce: kindsOf(space).includes("reduce") ? all : [] };
}
