// A search method of one's own: DARTS with a softmax that gets sharper, softmax(alpha / T) with T falling from 1 to 0.1
// over the epochs, so that the supernet at the end is near to the cell that is derived from it.
//   darts search --preset quick --plugin examples/own-method.ts --search-method sharpened
import {
  createAlphas,
  dartsStep,
  defineMethod,
  deriveIn,
  exponential,
  mixtureOf,
  named,
  rowsOf,
  type Tensor,
} from "darts-nas";

export const sharpened = defineMethod({
  name: "sharpened",
  paper: "examples/own-method.ts",
  create(context) {
    const alphas = createAlphas(context);
    const rate = Math.log(10) / Math.max(1, context.epochs - 1);
    let temperature = 1;
    const weights = (logits: Tensor) => ({ operations: logits.div(temperature).softmax(1) });
    return {
      alphas: new Map(named("alphas", alphas)),
      beginEpoch(epoch) {
        temperature = exponential(1, rate, epoch);
      },
      mixture: () => mixtureOf(weights(alphas.normal), alphas.reduce && weights(alphas.reduce)),
      step: (step) => dartsStep(step, context),
      alphaRows: () => rowsOf(alphas),
      derive: () => deriveIn(context, rowsOf(alphas)),
      // A checkpoint may lie within an epoch: what beginEpoch set has to be in it.
      state: () => temperature,
      restore(state) {
        temperature = state as number;
      },
    };
  },
});
