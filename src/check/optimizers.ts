// The optimizers, clipping and schedules against their closed forms, worked out by hand in plain numbers.
import { Adam } from "../optim/adam.ts";
import { clipGradNorm } from "../optim/clip.ts";
import type { Optimizer } from "../optim/optimizer.ts";
import { cosine } from "../optim/schedule.ts";
import { SGD } from "../optim/sgd.ts";
import { Parameter, scalar, tensor } from "../tensor/tensor.ts";
import { type Check, compare, compareAll } from "./check.ts";

const TOLERANCE = 1e-12;
const FLOAT64 = { dtype: "float64" } as const;

/** All checks of optimizers, clipping and schedules. */
export function optimizerChecks(): Check[] {
  return [...sgdChecks(), ...adamChecks(), ...clipChecks(), ...scheduleChecks()];
}

/** The values of a parameter that starts at 1, after steps with the gradients 0.5, −1 and 2. */
function walk(create: (parameters: Parameter[]) => Optimizer): number[] {
  using parameter = new Parameter(scalar(1, FLOAT64));
  const optimizer = create([parameter]);
  const values = [0.5, -1, 2].map((gradient) => {
    optimizer.step([scalar(gradient, FLOAT64)]);
    return parameter.item();
  });
  optimizer.dispose();
  return values;
}

function sgdChecks(): Check[] {
  const [learningRate, momentum, weightDecay] = [0.1, 0.9, 0.01];
  const byHand = (nesterov: boolean) => {
    let [w, buffer] = [1, 0];
    return [0.5, -1, 2].map((gradient) => {
      const g = gradient + weightDecay * w;
      buffer = momentum * buffer + g; // the first time 0 + g: no damping
      w -= learningRate * (nesterov ? g + momentum * buffer : buffer);
      return w;
    });
  };
  const plain = walk((p) => new SGD(p, { learningRate, momentum, weightDecay }));
  const nesterov = walk((p) => new SGD(p, { learningRate, momentum, weightDecay, nesterov: true }));
  return [
    compareAll(
      "SGD without momentum",
      walk((p) => new SGD(p, { learningRate })),
      [0.95, 1.05, 0.85],
      TOLERANCE,
    ),
    compareAll("SGD with momentum and weight decay", plain, byHand(false), TOLERANCE),
    compareAll("SGD with Nesterov momentum", nesterov, byHand(true), TOLERANCE),
  ];
}

function adamChecks(): Check[] {
  // Bias correction makes the first step lr·g/(|g| + ε), whatever the betas.
  const [first] = walk((p) => new Adam(p, { learningRate: 0.1, betas: [0.5, 0.999] }));
  const [decayed] = walk((p) => new Adam(p, { learningRate: 0.1, weightDecay: -0.75 }));
  const second = walk((p) => new Adam(p, { learningRate: 0.1, betas: [0.5, 0.999] }))[1]!;
  const mean = (0.25 * 0.5 + 0.5 * -1) / (1 - 0.5 ** 2);
  const square = (0.001 * 0.999 * 0.25 + 0.001) / (1 - 0.999 ** 2);
  return [
    compare("first step of Adam", first!, 1 - (0.1 * 0.5) / (0.5 + 1e-8), TOLERANCE),
    compare("second step of Adam", second, first! - (0.1 * mean) / (Math.sqrt(square) + 1e-8), TOLERANCE),
    // The penalty is part of the gradient, 0.5 − 0.75: it turns the direction, and its size does not matter.
    compare("first step of Adam with an L2 penalty", decayed!, 1 + (0.1 * 0.25) / (0.25 + 1e-8), TOLERANCE),
  ];
}

function clipChecks(): Check[] {
  const gradients = [tensor([3, 4], [2], FLOAT64), undefined, tensor([12], [1], FLOAT64)];
  const norm = clipGradNorm(gradients, 5);
  const values = gradients.flatMap((gradient) => gradient?.toNumbers() ?? []);
  clipGradNorm(gradients, 100);
  const again = gradients.flatMap((gradient) => gradient?.toNumbers() ?? []);
  const factor = 5 / (13 + 1e-6);
  return [
    compare("global norm of gradients", norm, 13, TOLERANCE),
    compareAll(
      "gradients clipped to a norm of 5",
      values,
      [3, 4, 12].map((value) => value * factor),
      TOLERANCE,
    ),
    compareAll("gradients below the largest norm", again, values, 0),
  ];
}

function scheduleChecks(): Check[] {
  return (
    [
      [0, 0.025],
      [25, 0.013],
      [49, 0.00102368],
    ] as const
  ).map(([epoch, rate]) =>
    compare(`cosine learning rate in epoch ${epoch} of 50`, cosine(0.025, 0.001, 50, epoch), rate, 5e-9),
  );
}
