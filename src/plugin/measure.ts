// What an operation costs whose author has not said so: it is built, and one image passes through it.
import type { Cost } from "../genotype/counts.ts";
import { Conv2d, Linear } from "../nn/layers.ts";
import type { Layer } from "../nn/module.ts";
import { noGrad } from "../tensor/autograd.ts";
import { generatorState, setGeneratorState } from "../tensor/runtime.ts";
import { scope } from "../tensor/scope.ts";
import { type Tensor, zeros } from "../tensor/tensor.ts";

/** What goes into a layer. */
export interface MeasuredInput {
  readonly channels: number;
  readonly size: readonly [height: number, width: number];
}

/** Cost by measurement; the random generator is afterwards as before. Costs of the same shape are measured once. */
export function measuredCost<Shape>(
  create: (shape: Shape) => Layer,
  inputOf: (shape: Shape) => MeasuredInput,
): (shape: Shape) => Cost {
  const known = new Map<string, Cost>();
  return (shape) => {
    const key = JSON.stringify(shape);
    const cost = known.get(key) ?? measure(() => create(shape), inputOf(shape));
    known.set(key, cost);
    return cost;
  };
}

function measure(create: () => Layer, { channels, size }: MeasuredInput): Cost {
  const state = generatorState();
  using layer = create();
  try {
    let macs = 0;
    for (const module of layer.modules()) {
      if (!(module instanceof Conv2d) && !(module instanceof Linear)) continue;
      const forward = module.forward.bind(module);
      module.forward = (x: Tensor) => {
        const y = forward(x);
        // Each number of the output is a sum over all weights of its channel.
        macs += y.numel * (module.weight.numel / module.weight.shape[0]);
        return y;
      };
    }
    layer.eval();
    scope(() => noGrad(() => void layer.forward(zeros([1, channels, ...size]))));
    return { params: layer.parameters().reduce((sum, { numel }) => sum + numel, 0), macs };
  } finally {
    setGeneratorState(state);
  }
}
