// Our side of `bench call`: what it costs to call an operator on tensors so small that computing is nothing.
import { aten } from "../src/tensor/aten.ts";
import { noGrad } from "../src/tensor/autograd.ts";
import { scope } from "../src/tensor/scope.ts";
import { ones, type Tensor } from "../src/tensor/tensor.ts";

/** Nanoseconds of a call, by operator and shape. */
export type CallTimes = Record<"add" | "relu", Record<"1" | "4x4", number>>;

/** As many results live at once as in a small network's forward pass; then the scope frees them, inside the time. */
const CALLS_IN_A_SCOPE = 100;

/** Means over `n` calls, without gradients, freeing the results included. */
export function callOverhead(n: number): CallTimes {
  return noGrad(() => ({ add: eachShape(n, add), relu: eachShape(n, relu) }));
}

function eachShape(n: number, block: (a: Tensor, b: Tensor) => void): Record<"1" | "4x4", number> {
  const time = (shape: number[]) => {
    using a = ones(shape);
    using b = ones(shape);
    const repeat = (calls: number) => {
      for (let i = 0; i < calls; i += CALLS_IN_A_SCOPE) scope(() => block(a, b));
    };
    repeat(n / 10);
    const start = process.hrtime.bigint();
    repeat(n);
    return Number(process.hrtime.bigint() - start) / (Math.ceil(n / CALLS_IN_A_SCOPE) * CALLS_IN_A_SCOPE);
  };
  return { "1": time([1]), "4x4": time([4, 4]) };
}

// A loop for each operator: one loop that is given the operator would also measure an indirect call.
function add(a: Tensor, b: Tensor): void {
  for (let i = 0; i < CALLS_IN_A_SCOPE; i++) aten.add.Tensor(a, b);
}

function relu(a: Tensor): void {
  for (let i = 0; i < CALLS_IN_A_SCOPE; i++) aten.relu.default(a);
}
