// A layer is a plain class whose fields are parameters, buffers and layers. Parameters are found by walking
// the fields, and their names are the paths of the fields: those of the reference PyTorch code.
import { UserError } from "../errors.ts";
import { noGrad } from "../tensor/autograd.ts";
import { exchange, keep } from "../tensor/scope.ts";
import { type DType, Parameter, Tensor } from "../tensor/tensor.ts";

/** Base of every layer and network. */
export abstract class Module {
  /** Whether batch normalisation uses the batch's statistics, and whether random layers are active. */
  training = true;

  /** The layers in the fields; elements of arrays are named by their index. */
  *children(): Generator<[string, Module]> {
    for (const [key, value] of Object.entries(this)) {
      if (value instanceof Module) yield [key, value];
      if (!Array.isArray(value)) continue;
      for (const [i, item] of value.entries()) if (item instanceof Module) yield [`${key}.${i}`, item];
    }
  }

  /** Every layer below this one and itself. */
  *modules(): Generator<Module> {
    yield this;
    for (const [, child] of this.children()) yield* child.modules();
  }

  /** Parameters with the names that PyTorch's state_dict gives them. */
  *namedParameters(prefix = ""): Generator<[string, Parameter]> {
    for (const [name, value] of this.#named(prefix)) if (value instanceof Parameter) yield [name, value];
  }

  /** Buffers (running statistics, counters) with their state_dict names. */
  *namedBuffers(prefix = ""): Generator<[string, Tensor]> {
    for (const [name, value] of this.#named(prefix)) if (!(value instanceof Parameter)) yield [name, value];
  }

  parameters(): Parameter[] {
    return [...this.namedParameters()].map(([, parameter]) => parameter);
  }

  buffers(): Tensor[] {
    return [...this.namedBuffers()].map(([, buffer]) => buffer);
  }

  /** Parameters and buffers by name, in PyTorch's order. The tensors are the live ones. */
  stateDict(): Map<string, Tensor> {
    return new Map(this.#named(""));
  }

  /** Copies values into the parameters and buffers. Throws when a name is missing, unknown, or of another shape. */
  loadStateDict(state: ReadonlyMap<string, Tensor>): void {
    const own = this.stateDict();
    const missing = [...own.keys()].filter((name) => !state.has(name));
    const unknown = [...state.keys()].filter((name) => !own.has(name));
    if (missing.length > 0 || unknown.length > 0) {
      const some = (names: string[]) => `${names.slice(0, 3).join(", ")}${names.length > 3 ? ", …" : ""}`;
      throw new UserError(
        `The weights are of another network: ${missing.length} missing (${some(missing)}), ` +
          `${unknown.length} unknown (${some(unknown)}). Check the genotype, channels, cells, classes and auxiliary head.`,
      );
    }
    for (const [name, tensor] of own) {
      const { shape } = state.get(name)!;
      if (shape.join() !== tensor.shape.join()) {
        throw new UserError(
          `The weights are of another network: ${name} has shape [${shape}], expected [${tensor.shape}].`,
        );
      }
    }
    noGrad(() => {
      for (const [name, tensor] of own) tensor.copy_(state.get(name)!);
    });
  }

  /** Switches this layer and all below it to training (the default) or evaluation. */
  train(mode = true): this {
    for (const module of this.modules()) module.training = mode;
    return this;
  }

  eval(): this {
    return this.train(false);
  }

  /** Runs `fn` with this layer and all below it in evaluation mode, and puts them back in training. */
  evaluating<T>(fn: () => T): T {
    this.eval();
    try {
      return fn();
    } finally {
      this.train();
    }
  }

  /** Moves parameters and buffers to a device, or makes them of another floating-point type, in place. */
  to({ dtype, device }: { dtype?: DType; device?: string }): this {
    for (const [, tensor] of this.#named("")) {
      const floating = tensor.dtype.includes("float");
      const { dtype: ownType, device: ownDevice } = tensor;
      const wanted = { dtype: floating ? (dtype ?? ownType) : ownType, device: device ?? ownDevice };
      if (wanted.dtype === ownType && wanted.device === ownDevice) continue;
      using moved = noGrad(() => keep(tensor.to(wanted)));
      exchange(tensor, moved);
      if (tensor instanceof Parameter) tensor.setRequiresGrad();
    }
    return this;
  }

  /** Frees all parameters and buffers. */
  dispose(): void {
    for (const [, tensor] of this.#named("")) tensor.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  *#named(prefix: string): Generator<[string, Tensor]> {
    const own = Object.entries(this).filter(([, value]) => value instanceof Tensor) as [string, Tensor][];
    // PyTorch lists a layer's parameters before its buffers, and both before its children.
    const [parameters, buffers] = [true, false].map((wanted) =>
      own.filter(([, value]) => value instanceof Parameter === wanted),
    );
    for (const [key, value] of [...parameters, ...buffers]) yield [prefix + key, value];
    for (const [key, child] of this.children()) yield* child.#named(`${prefix}${key}.`);
  }
}

/** A module that maps one tensor to another. */
export abstract class Layer extends Module {
  abstract forward(x: Tensor): Tensor;
}

/** Layers one after the other; named by their index, as PyTorch's Sequential. */
export class Sequential extends Layer {
  readonly layers: readonly Layer[];

  constructor(...layers: Layer[]) {
    super();
    this.layers = layers;
  }

  override *children(): Generator<[string, Module]> {
    for (const [i, layer] of this.layers.entries()) yield [String(i), layer];
  }

  forward(x: Tensor): Tensor {
    return this.layers.reduce((value, layer) => layer.forward(value), x);
  }
}

/** The input itself. */
export class Identity extends Layer {
  forward(x: Tensor): Tensor {
    return x;
  }
}
