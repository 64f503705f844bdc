// Gradients against central differences, in float64: every candidate operation, every input and every weight.
import type { Layer } from "../nn/module.ts";
import { supernetOperation } from "../space/mixed-op.ts";
import { OPERATIONS, Zero } from "../space/operations.ts";
import { PRIMITIVES, type Primitive, type PublishedPrimitive } from "../space/primitives.ts";
import { grad, noGrad } from "../tensor/autograd.ts";
import { seed } from "../tensor/runtime.ts";
import { scope } from "../tensor/scope.ts";
import { Parameter, randn, type Tensor, tensor } from "../tensor/tensor.ts";
import { type Check, compare, compareAll } from "./check.ts";

const [BATCH, CHANNELS, SIZE] = [2, 2, 4];
/** One channel for each group. */
const GROUPED_CHANNELS = 8;
/** Small against the distance to the next kink of a ReLU, large against rounding: h² and 1e-16/h both vanish. */
const STEP = 1e-6;
const TOLERANCE = 1e-6;

/** The candidate operations at both strides, with scale and shift; then the mixture's gradient in closed form. */
export function gradientChecks(): Check[] {
  const strides = [1, 2];
  const plain = PRIMITIVES.flatMap((primitive) => strides.map((stride) => operationCheck(primitive, stride)));
  const pools = PRIMITIVES.filter((primitive) => primitive.includes("pool")).map(normalizedPoolCheck);
  return [...plain, ...pools, mixtureCheck()];
}

function operationCheck(primitive: PublishedPrimitive, stride: number): Check {
  const channels = primitive.startsWith("group_conv") ? GROUPED_CHANNELS : CHANNELS;
  using layer = OPERATIONS[primitive](channels, stride, true);
  return gradientCheck(`gradient of ${primitive}, stride ${stride}`, layer, channels);
}

function normalizedPoolCheck(primitive: Primitive): Check {
  using layer = supernetOperation(primitive, { channels: CHANNELS, stride: 1 });
  return gradientCheck(`gradient of ${primitive} as the supernet has it`, layer);
}

/** The largest error of the gradient, relative to the largest central difference. */
function gradientCheck(name: string, layer: Layer, channels = CHANNELS): Check {
  return scope(() => {
    seed(2);
    layer.to({ dtype: "float64" });
    for (const parameter of layer.parameters()) noGrad(() => parameter.copy_(randn(parameter.shape)));
    using x = new Parameter(randn([BATCH, channels, SIZE, SIZE], { dtype: "float64" }));
    const weights = randn(layer.forward(x).shape, { dtype: "float64" });
    const loss = () => layer.forward(x).mul(weights).sum();

    const leaves = [x, ...layer.parameters()];
    const gradients = grad([loss()], leaves).flatMap((gradient) => gradient!.toNumbers());
    const differences = leaves.flatMap((leaf) => centralDifferences(leaf, loss));
    // The gradient of `none` is zero. That of another operation is not, or 0/0 fails the check.
    const zero = layer instanceof Zero;
    const scale = zero ? 1 : Math.max(...differences.map(Math.abs));
    const errors = differences.map((value, i) => Math.abs(gradients[i]! - (zero ? 0 : value)) / scale);
    return compare(name, Math.max(...errors), 0, TOLERANCE);
  });
}

function centralDifferences(leaf: Parameter, loss: () => Tensor): number[] {
  const values = leaf.toNumbers();
  const lossAt = (changed: readonly number[]) =>
    scope(() =>
      noGrad(() => {
        leaf.copy_(tensor(changed, leaf.shape, { dtype: "float64" }));
        return loss().item();
      }),
    );
  const differences = values.map((value, i) => {
    const [up, down] = [value + STEP, value - STEP].map((moved) => lossAt(values.with(i, moved)));
    return (up! - down!) / (2 * STEP);
  });
  lossAt(values);
  return differences;
}

/** ∂(Σ pₖ cₖ)/∂αⱼ = pⱼ (cⱼ − Σ pₖ cₖ) for constants c, with α = (0.1, −0.2, 0.3) and c = (1, 2, −1). */
function mixtureCheck(): Check {
  using alpha = new Parameter(tensor([0.1, -0.2, 0.3], [3], { dtype: "float64" }));
  const mixed = alpha.softmax(0).mul(tensor([1, 2, -1], [3], { dtype: "float64" }));
  const gradient = grad([mixed.sum()], [alpha])[0]!.toNumbers();
  return compareAll("gradient of a mixture in its alphas", gradient, [0.193964, 0.393781, -0.587745], 1e-6);
}
