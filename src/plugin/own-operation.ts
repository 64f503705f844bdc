// A plugin's operation as a builder: what its author got wrong is said where it shows, by the operation's name.
import { UserError } from "../errors.ts";
import { Layer } from "../nn/module.ts";
import type { OperationBuilder } from "../space/operations.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { OperationDefinition } from "./define.ts";

/** The builder of a definition; its layers throw a {@link UserError} for what they cannot compute or of the wrong shape. */
export function builderOf({ name, create }: OperationDefinition): OperationBuilder {
  return (channels, stride, affine) =>
    guarded(create(channels, stride, affine), { what: `The operation ${name}`, stride, channels });
}

/** What a layer of a plugin must be. */
export interface Promised {
  /** "The operation NAME". */
  readonly what: string;
  readonly stride: number;
  /** Of its output. */
  readonly channels: number;
}

/** The layer, which now says what is wrong with it; throws a {@link UserError} where it is none. */
export function guarded(layer: unknown, promised: Promised): Layer {
  if (!(layer instanceof Layer)) {
    throw new UserError(
      `${promised.what}: create returned ${typeof layer}, expected a Layer of "darts-nas".`,
    );
  }
  const forward = layer.forward.bind(layer);
  layer.forward = (x) => checked({ ...promised, forward }, x);
  return layer;
}

function checked(
  { what, stride, channels, forward }: Promised & { readonly forward: (x: Tensor) => Tensor },
  x: Tensor,
): Tensor {
  const where = `${what}, stride ${stride}, on [${x.shape.join(", ")}]`;
  let y: Tensor;
  try {
    y = forward(x);
  } catch (error) {
    throw new UserError(`${where} fails: ${(error as Error).message}. Mend its plugin.`, { cause: error });
  }
  const [images, , height, width] = x.shape;
  const expected = [images, channels, Math.ceil(height / stride), Math.ceil(width / stride)];
  if (y.shape.join() === expected.join()) return y;
  throw new UserError(
    `${where} gives [${y.shape.join(", ")}], expected [${expected.join(", ")}]. Mend its plugin.`,
  );
}
