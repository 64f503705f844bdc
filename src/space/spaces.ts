// The search spaces that have a name: that of DARTS, and the four of RobustDARTS in which DARTS fails (Zela et al.,
// ICLR 2020, section 3: S1 to S4). S1 gives every edge two candidates of its own; the others are lists.
import type { Candidates } from "./candidates.ts";
import { DARTS_PRIMITIVES, type Primitive } from "./primitives.ts";

/** A space by its name. */
export interface NamedSpace {
  readonly primitives: readonly Primitive[];
  /** Candidates of each edge of four nodes, by name; absent: all primitives on every edge. */
  readonly edges?: Readonly<Record<"normal" | "reduce", readonly (readonly Primitive[])[]>>;
}

const [max, avg, skip] = ["max_pool_3x3", "avg_pool_3x3", "skip_connect"] as const;
const [s3, d3, d5] = ["sep_conv_3x3", "dil_conv_3x3", "dil_conv_5x5"] as const;

/** The spaces by name. */
export const SPACES: Readonly<Record<SpaceName, NamedSpace>> = {
  darts: { primitives: DARTS_PRIMITIVES },
  s1: {
    primitives: [max, avg, skip, s3, d3, d5],
    edges: {
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
    },
  },
  s2: { primitives: [skip, s3] },
  s3: { primitives: ["none", skip, s3] },
  s4: { primitives: ["noise", s3] },
};

/** The names, in the order of the table. */
export const SPACE_NAMES = ["darts", "s1", "s2", "s3", "s4"] as const;

/** The name of a space. */
export type SpaceName = (typeof SPACE_NAMES)[number];

/** The candidates of each edge of a configuration's space; undefined where every edge has all of them. */
export function spaceCandidates(name: SpaceName, primitives: readonly Primitive[]): Candidates | undefined {
  const { edges } = SPACES[name];
  if (!edges) return undefined;
  const columns = (rows: readonly (readonly Primitive[])[]) =>
    rows.map((row) => row.map((primitive) => primitives.indexOf(primitive)).sort((a, b) => a - b));
  return { normal: columns(edges.normal), reduce: columns(edges.reduce) };
}
