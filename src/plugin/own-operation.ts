// A plugin's operation as a builder: what its author got wrong is said where it shows, by the operation's name.
import { UserError } from "../errors.ts";
import { Layer } from "../nn/module.ts";
import type { OperationBuilder } from "../space/operations.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { OperationDefinition } from "./define.ts";

/** The builder of a definition; its layers throw a {@link UserError} for what they cannot compute or of the wrong shape. */
export function builderOf({ name, create }: OperationDefinition): OperationBuilder {
  return (channels, stride, affine) => {
    const layer = create(channels, stride, affine);
    if (!(layer instanceof Layer)) {
      throw new UserError(
        `The operation ${name}: create returned ${typeof layer}, expected a Layer of "darts-nas".`,
      );
    }
    const forward = layer.forward.bind(layer);
    layer.forward = (x) => checked({ name, stride, forward }, x);
    return layer;
  };
}

function checked(
  { name, stride, forward }: { name: string; stride: number; forward: (x: Tensor) => Tensor },
  x: Tensor,
): Tensor {
  const where = `The operation ${name}, stride ${stride}, on [${x.shape.join(", ")}]`;
  let y: Tensor;
  try {
    y = forward(x);
  } catch (error) {
    throw new UserError(`${where} fails: ${(error as Error).message}. Mend its plugin.`, { cause: error });
  }
  const [images, channels, height, width] = x.shape;
  const expected = [images, channels, Math.ceil(height / stride), Math.ceil(width / stride)];
  if (y.shape.join() === expected.join()) return y;
  throw new UserError(
    `${where} gives [${y.shape.join(", ")}], expected [${expected.join(", ")}]. Mend its plugin.`,
  );
}
