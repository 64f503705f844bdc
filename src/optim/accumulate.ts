// Gradient accumulation: a loss that is the sum of parts, each with a graph of its own, so that the memory is that of
// the largest part and not of the whole. The gradient is the whole's, to rounding.
import { aten } from "../tensor/aten.ts";
import { grad, noGrad } from "../tensor/autograd.ts";
import { scope } from "../tensor/scope.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** A scalar with a graph, made when it is called for; as a list, the sum of its parts. */
export type Loss = (() => Tensor) | readonly (() => Tensor)[];

/** A loss and its gradient in each input; undefined where an input has no part in it. */
export interface LossGradient {
  readonly value: number;
  readonly gradients: (Tensor | undefined)[];
}

/** Makes the parts of `loss` one after the other, differentiates each in `inputs`, and adds up. */
export function lossGradient(loss: Loss, inputs: readonly Tensor[]): LossGradient {
  let value = 0;
  let gradients: (Tensor | undefined)[] = [];
  for (const [i, part] of (typeof loss === "function" ? [loss] : loss).entries()) {
    gradients = scope(() => {
      const output = part();
      // A loss that none of the inputs has a part in (alphas that are all decided) may have no graph at all.
      const found = output.requiresGrad ? grad([output], inputs) : inputs.map(() => undefined);
      value += output.item();
      return i === 0 ? found : sum(gradients, found, i > 1);
    });
  }
  return { value, gradients };
}

/** The value alone. */
export function lossValue(loss: Loss): number {
  let value = 0;
  for (const part of typeof loss === "function" ? [loss] : loss)
    value += noGrad(() => scope(() => part().item()));
  return value;
}

/** Autograd may give one tensor for two inputs, so the first sum is a new tensor; later ones add to that. */
function sum(
  sums: readonly (Tensor | undefined)[],
  terms: readonly (Tensor | undefined)[],
  inPlace: boolean,
): (Tensor | undefined)[] {
  return noGrad(() =>
    terms.map((term, k) => {
      const before = sums[k];
      if (!term || !before) return term ?? before;
      if (!inPlace) return before.add(term);
      aten.add_.Tensor(before, term).dispose();
      return before;
    }),
  );
}
