// What all optimizers are: they turn gradients into new values of their parameters, and can be saved.
import { noGrad } from "../tensor/autograd.ts";
import { keep, scope } from "../tensor/scope.ts";
import type { Parameter, Tensor } from "../tensor/tensor.ts";

/** A gradient for each parameter; undefined where there is none, and then nothing of that parameter changes. */
export type Gradients = readonly (Tensor | undefined)[];

/** Base of the optimizers: owns the no-grad mode, the memory and the state of a step. */
export abstract class Optimizer {
  /** Set by the schedule before a step. */
  learningRate: number;
  readonly parameters: readonly Parameter[];
  /** State tensors of each parameter by name (`momentum_buffer`, …); empty until its first step. */
  readonly #state: Map<string, Tensor>[];
  /** Steps that each parameter has taken. */
  readonly #steps: number[];

  constructor(parameters: readonly Parameter[], learningRate: number) {
    this.parameters = parameters;
    this.learningRate = learningRate;
    this.#state = parameters.map(() => new Map());
    this.#steps = parameters.map(() => 0);
  }

  /** Hears of the gradients of each step before it is made. */
  onStep: ((gradients: Gradients) => void) | undefined;

  /** Moves every parameter that has a gradient. */
  step(gradients: Gradients): void {
    this.onStep?.(gradients);
    noGrad(() => {
      for (const [i, parameter] of this.parameters.entries()) {
        const gradient = gradients[i];
        if (!gradient) continue;
        this.#steps[i]++;
        scope(() => this.update(parameter, gradient, this.#state[i], this.#steps[i]));
      }
    });
  }

  /** One parameter's step; `step` counts from 1. New state tensors are kept by {@link remember}. */
  protected abstract update(
    parameter: Parameter,
    gradient: Tensor,
    state: Map<string, Tensor>,
    step: number,
  ): void;

  /** Keeps a tensor as state under `name`. */
  protected remember(state: Map<string, Tensor>, name: string, value: Tensor): Tensor {
    state.set(name, keep(value));
    return value;
  }

  /** The state tensor of the `index`-th parameter, if it has one: second-order DARTS reads the momentum. */
  stateOf(index: number, name: string): Tensor | undefined {
    return this.#state[index].get(name);
  }

  /** All state tensors, as `index.name`, for a checkpoint. */
  tensors(): Map<string, Tensor> {
    const all = new Map<string, Tensor>();
    for (const [i, state] of this.#state.entries())
      for (const [name, value] of state) all.set(`${i}.${name}`, value);
    return all;
  }

  /** Steps of each parameter, for a checkpoint. */
  steps(): number[] {
    return [...this.#steps];
  }

  /** Continues from a checkpoint's tensors (copied) and step counts. */
  restore(tensors: ReadonlyMap<string, Tensor>, steps: readonly number[]): void {
    if (steps.length !== this.parameters.length) {
      throw new Error(
        `the optimizer's state is for ${steps.length} parameters, expected ${this.parameters.length}`,
      );
    }
    this.dispose();
    for (const [key, value] of tensors) {
      const [index, name] = key.split(".");
      const { device } = this.parameters[Number(index)];
      this.remember(this.#state[Number(index)], name, value.to({ device }).clone());
    }
    for (const [i, count] of steps.entries()) this.#steps[i] = count;
  }

  /** Frees the state. */
  dispose(): void {
    for (const state of this.#state) {
      for (const value of state.values()) value.dispose();
      state.clear();
    }
  }
}
