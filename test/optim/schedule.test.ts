// Schedules against PyTorch's, and against the numbers of the papers that use them.
import { test } from "node:test";
import { cosine, exponential, linear } from "../../src/optim/schedule.ts";
import { assertClose } from "../support/assert-close.ts";
import { openFixture } from "../support/fixtures.ts";
import { leakFree } from "../support/leak-free.ts";

const fixture = openFixture("optim");
const options =
  fixture.json<Record<string, { epochs: number; learningRate: number; learningRateMin: number }>>("options");

for (const name of ["cosine/search", "cosine/evaluation"]) {
  test(
    `${name} is PyTorch's in every epoch`,
    leakFree(() => {
      const { epochs, learningRate, learningRateMin } = options[name]!;
      const rates = Array.from({ length: epochs }, (_, epoch) =>
        cosine(learningRate, learningRateMin, epochs, epoch),
      );
      assertClose(rates, fixture.tensor(`${name}/learning_rate`).toNumbers(), 1e-9, name);
    }),
  );
}

/** Every value at the epochs named, to the digits that are published. */
const published: [string, (epoch: number) => number, [epoch: number, value: number][], number][] = [
  [
    "DARTS' learning rate",
    (e) => cosine(0.025, 0.001, 50, e),
    [
      [0, 0.025],
      [25, 0.013],
      [49, 0.00102368],
    ],
    1e-6,
  ],
  [
    "DARTS' drop path",
    (e) => linear(0, 0.2, 600, e),
    [
      [0, 0],
      [300, 0.1],
      [599, 0.19967],
    ],
    2e-5,
  ],
  [
    "GDAS' temperature",
    (e) => linear(10, 0.1, 249, e),
    [
      [0, 10],
      [1, 9.9602],
      [125, 5.0301],
      [249, 0.1],
    ],
    5e-6,
  ],
  [
    "SDARTS' perturbation",
    (e) => linear(0.03, 0.3, 50, e),
    [
      [0, 0.03],
      [25, 0.165],
      [49, 0.2946],
    ],
    1e-9,
  ],
  [
    "P-DARTS' dropout",
    (e) => (e < 10 ? linear(0.4, 0, 25, e + 1) : exponential(0.4, 0.2, e - 10)),
    [
      [0, 0.384],
      [9, 0.24],
      [10, 0.4],
      [24, 0.024324],
    ],
    2e-6,
  ],
  [
    "FBNet's temperature",
    (e) => exponential(5, 0.045, e),
    [
      [0, 5],
      [10, 3.1881],
      [45, 0.65997],
      [89, 0.091121],
    ],
    1e-5,
  ],
  [
    "PC-DARTS' rate on ImageNet",
    (e) => (e < 245 ? linear(0.5, 0, 245, e) : linear(0.5 / 245, 0, 5, e - 245)),
    [
      [0, 0.5],
      [100, 0.295918],
      [244, 0.00204082],
      [245, 0.00204082],
      [249, 0.00040816],
    ],
    1e-6,
  ],
];
for (const [name, schedule, points, tolerance] of published) {
  test(`${name} has its published values`, () => {
    const epochs = points.map(([epoch]) => epoch);
    assertClose(
      epochs.map(schedule),
      points.map(([, value]) => value),
      tolerance,
      name,
    );
  });
}
