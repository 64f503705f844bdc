// Cells of any plan, such as derived ones, on the kernels and composed of libtorch's operators.

import type { Layer } from "../../src/nn/module.ts";
import type { CellEdge, CellPlan } from "../../src/space/cell-plan.ts";
import { supernetOperation } from "../../src/space/mixed-op.ts";
import { operationBuilder } from "../../src/space/operations.ts";
import { PRIMITIVES, type Primitive } from "../../src/space/primitives.ts";
import { aten } from "../../src/tensor/aten.ts";
import { noGrad } from "../../src/tensor/autograd.ts";
import { cat, type Parameter, type Tensor } from "../../src/tensor/tensor.ts";
import type { Case } from "./composite.ts";

/** Operations for any number of channels: those of GDAS' fixed reduction cell take multiples of eight. */
export const ANY_CHANNELS = PRIMITIVES.filter(
  (name) => name !== "group_conv_3x1_1x3" && name !== "norm_max_pool_3x3",
);

/** A plan without its modules, and the sizes of the inputs. */
export interface PlanCase extends Omit<Case, "primitives" | "active" | "share"> {
  /** Whether normalisations have scale and shift. */
  readonly affine: boolean;
  /** Whether poolings are normalised. */
  readonly normedPools: boolean;
  /** Source, target and operations of each edge; an operation may have a weight. */
  readonly edges: readonly {
    readonly source: number;
    readonly target: number;
    readonly operations: readonly (readonly [Primitive, weight?: number])[];
  }[];
  readonly concat: readonly number[];
  /** Weights that operations refer to. */
  readonly mixture: number;
  /** Share of dropped paths. */
  readonly dropPath: number;
}

/** The plan with modules of its own. Scales and shifts are random; some scales are zero, or next to it. */
export function createPlan(it: PlanCase): CellPlan & { readonly modules: readonly Layer[] } {
  const edges: CellEdge[] = it.edges.map(({ source, target, operations }) => ({
    source,
    target,
    operations: operations.map(([primitive, weight]) => ({
      primitive,
      weight,
      module: create(it, primitive, source),
    })),
  }));
  const modules = edges.flatMap(({ operations }) => operations.map(({ module }) => module));
  for (const module of modules)
    for (const [name, parameter] of module.namedParameters())
      if (parameter.shape.length === 1) randomise(parameter, name.endsWith("weight"));
  return { ...it, edges, modules };
}

function create(
  { channels, reduction, affine, normedPools }: PlanCase,
  primitive: Primitive,
  source: number,
): Layer {
  const stride = reduction && source < 2 ? 2 : 1;
  return primitive.includes("pool") && normedPools
    ? supernetOperation(primitive, { channels, stride })
    : operationBuilder(primitive)(channels, stride, affine);
}

function randomise(values: Parameter, scale: boolean): void {
  noGrad(() => {
    aten.normal_.default(values, 0, 1);
    if (!scale) return;
    for (const [channel, value] of [0, 1e-20].entries())
      if (channel < values.shape[0]) aten.fill_.Scalar(values.select(0, channel), value);
  });
}

/** What the plan says, one operator after the other. */
export function compositePlan(
  plan: CellPlan,
  s0: Tensor,
  s1: Tensor,
  mixture: Tensor | undefined,
  paths: Tensor | undefined,
): Tensor {
  const states = [s0, s1];
  for (let node = 2; node < plan.nodes + 2; node++) {
    const terms = plan.edges.flatMap(({ source, target, operations }, e) =>
      target === node
        ? operations.map(({ module, weight }) => {
            const value = module.forward(states[source]);
            const weighted = weight === undefined ? value : value.mul(mixture!.select(0, weight));
            return paths ? weighted.mul(paths.select(0, e).reshape([-1, 1, 1, 1])) : weighted;
          })
        : [],
    );
    states.push(terms.reduce((a, b) => a.add(b)));
  }
  return cat(
    plan.concat.map((state) => states[state]),
    1,
  );
}
