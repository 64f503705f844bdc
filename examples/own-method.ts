// A search method of one's own: DARTS with a softmax that gets sharper, softmax(alpha / T) with T falling from 1 to 0.1
// over the epochs, so that the supernet at the end is near to the cell that is derived from it.
//   darts search --preset quick --plugin examples/own-method.ts --search-method sharpened
import {
  type AlphaRows,
  createAlphas,
  dartsStep,
  defineMethod,
  deriveGenotype,
  exponential,
  type Tensor,
} from "darts-nas";

export const sharpened = defineMethod({
  name: "sharpened",
  paper: "examples/own-method.ts",
  create(context) {
    const [normal, reduce] = [createAlphas(context), createAlphas(context)];
    const rate = Math.log(10) / Math.max(1, context.epochs - 1);
    let temperature = 1;
    const weights = (alphas: Tensor) => ({ operations: alphas.div(temperature).softmax(1) });
    const alphaRows = (): AlphaRows => ({ normal: normal.toRows(), reduce: reduce.toRows() });
    return {
      alphas: new Map([
        ["alphas_normal", normal],
        ["alphas_reduce", reduce],
      ]),
      beginEpoch(epoch) {
        temperature = exponential(1, rate, epoch);
      },
      mixture: () => ({ normal: weights(normal), reduce: weights(reduce) }),
      step: (step) => dartsStep(step, context),
      alphaRows,
      derive: () => deriveGenotype(alphaRows(), context.primitives),
      // A checkpoint may lie within an epoch: what beginEpoch set has to be in it.
      state: () => temperature,
      restore(state) {
        temperature = state as number;
      },
    };
  },
});
