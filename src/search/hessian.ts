// The curvature of the validation loss in the alphas, by which RobustDARTS sees a search fail (Zela et al., ICLR 2020,
// section 4): the largest eigenvalue of ∇²α L_V(w, α), the weights fixed. Power iteration needs the Hessian's products
// with vectors alone. They are exact (a derivative of a derivative, which only libtorch's operators have) or finite
// differences of two gradients, which the fused kernels make as well. The reference code builds the whole matrix.
import type { Config } from "../config/schema.ts";
import { type Loss, lossGradient } from "../optim/accumulate.ts";
import { createGenerator } from "../random/generator.ts";
import { grad, noGrad } from "../tensor/autograd.ts";
import { scope } from "../tensor/scope.ts";
import { type Parameter, type Tensor, tensor } from "../tensor/tensor.ts";
import { type DrawSources, drawsOf, replaying } from "./draws.ts";
import { withValues } from "./unrolled.ts";

/** v ↦ H·v, for a vector of all alphas one after the other. */
export type HessianProduct = (vector: readonly number[]) => number[];

/** How products with the Hessian are computed. */
export type HessianMode = Config["guard"]["hessian"];

/** Runs `use` with the exact product; `loss` must have second derivatives. Its graph lives until `use` returns. */
export function withExactProduct<T>(
  loss: Loss,
  alphas: readonly Parameter[],
  use: (product: HessianProduct) => T,
): T {
  return scope(() => {
    const parts = typeof loss === "function" ? [loss] : loss;
    const total = parts.map((part) => part()).reduce((a, b) => a.add(b));
    const first = grad([total], alphas, { createGraph: true });
    const reached = alphas.flatMap((alpha, i) =>
      first[i]?.requiresGrad ? [{ alpha, gradient: first[i] }] : [],
    );
    return use((vector) =>
      scope(() => {
        const parts = split(vector, alphas);
        const second =
          reached.length > 0
            ? grad(
                reached.map(({ gradient }) => gradient),
                alphas,
                {
                  gradOutputs: reached.map(({ alpha }) => parts[alphas.indexOf(alpha)]!),
                  retainGraph: true,
                },
              )
            : [];
        return flat(second, alphas);
      }),
    );
  });
}

/** The product by central differences, `radius` away along the vector. The alphas are as found afterwards. */
export function differenceProduct(
  loss: () => Loss,
  alphas: readonly Parameter[],
  { radius = 0.02, ...sources }: { readonly radius?: number } & DrawSources = {},
): HessianProduct {
  return (vector) => {
    const length = Math.hypot(...vector);
    if (length === 0) return vector.map(() => 0);
    const epsilon = radius / length;
    // Both see the same random draws.
    const rewind = drawsOf(sources);
    const [plus, minus] = [epsilon, -epsilon].map((signed) =>
      scope(() => {
        const moved = noGrad(() => split(vector, alphas).map((v, i) => alphas[i]!.add(v.mul(signed))));
        return withValues(alphas, moved, () =>
          scope(() => replaying(rewind, sources, () => flat(lossGradient(loss(), alphas).gradients, alphas))),
        );
      }),
    );
    return plus!.map((value, i) => (value - minus![i]!) / (2 * epsilon));
  };
}

/** When a power iteration ends. */
export interface PowerOptions {
  /** Relative change of the eigenvalue at which it stands (default 1e-4). */
  readonly tolerance?: number | undefined;
  /** Most products of one iteration (default 50); a second one follows where the first finds a negative value. */
  readonly products?: number | undefined;
}

/**
 * The largest eigenvalue of a symmetric matrix of `size` rows. Power iteration finds the one of the largest modulus;
 * is that negative, a second iteration with the matrix shifted by it finds the largest.
 */
export function largestEigenvalue(
  product: HessianProduct,
  size: number,
  { tolerance = 1e-4, products = 50 }: PowerOptions = {},
): number {
  const iterate = (times: HessianProduct): number => {
    let vector = startVector(size);
    let value = 0;
    for (let i = 0; i < products; i++) {
      const image = times(vector);
      const before = value;
      value = image.reduce((sum, entry, k) => sum + entry * vector[k]!, 0); // Rayleigh's quotient
      const length = Math.hypot(...image);
      if (!Number.isFinite(length) || length === 0) return value;
      vector = image.map((entry) => entry / length);
      if (i > 0 && Math.abs(value - before) <= tolerance * Math.abs(value)) break;
    }
    return value;
  };
  const dominant = iterate(product);
  if (!(dominant < 0)) return dominant;
  return dominant + iterate((vector) => product(vector).map((entry, k) => entry - dominant * vector[k]!));
}

/** The same unit vector in every epoch and run. */
function startVector(size: number): number[] {
  const generator = createGenerator(0, "search/hessian");
  const vector = Array.from({ length: size }, () => generator.uniform() - 0.5);
  const length = Math.hypot(...vector);
  return vector.map((entry) => entry / length);
}

function split(vector: readonly number[], alphas: readonly Parameter[]): Tensor[] {
  let start = 0;
  return alphas.map(({ numel, shape, dtype, device }) => {
    const part = vector.slice(start, start + numel);
    start += numel;
    return tensor(part, shape, { dtype, device });
  });
}

function flat(parts: readonly (Tensor | undefined)[], alphas: readonly Parameter[]): number[] {
  return alphas.flatMap(({ numel }, i) => parts[i]?.toNumbers() ?? Array.from({ length: numel }, () => 0));
}
