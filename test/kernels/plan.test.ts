// Any plan on the kernels against the composite cell in float64: derived cells (scale and shift, drop-path, any edges,
// some states put out), several operations on an edge, weights shared or absent, and operations that the kernels lack.
import assert from "node:assert/strict";
import { test } from "node:test";
import { BlockedImages } from "../../src/space/blocked.ts";
import { type FusedPass, fuseCell } from "../../src/space/fused-cell.ts";
import { noGrad } from "../../src/tensor/autograd.ts";
import { seed, setThreads } from "../../src/tensor/runtime.ts";
import { Parameter, randn, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { assertClose } from "../support/assert-close.ts";
import { leakFree } from "../support/leak-free.ts";
import { withGradients } from "./composite.ts";
import { ANY_CHANNELS, compositePlan, createPlan, type PlanCase } from "./plans.ts";
import { assertSameResults, type Result } from "./results.ts";

/** How many random plans; more with DARTS_RANDOM_CASES. */
const RANDOM_CASES = Number(process.env.DARTS_RANDOM_CASES ?? 40);
const CHANNELS = [4, 8, 16, 36, 20, 7, 1, 2, 33];

/** Uniform integers below `end`, from a seed. */
function draws(number: number): (end: number) => number {
  let state = number;
  const below = (end: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * end);
  };
  for (let i = 0; i < 5; i++) below(1); // neighbouring seeds begin alike
  return below;
}

/** A plan of random sizes, edges, operations and outputs. */
function randomCase(number: number): PlanCase {
  const below = draws(number);
  const channels = CHANNELS[below(CHANNELS.length)];
  const nodes = 1 + below(3);
  const reduction = below(2) === 1;
  const mixture = below(3) === 0 ? 3 : 0;
  const edges: PlanCase["edges"][number][] = [];
  for (let target = 2; target < nodes + 2; target++) {
    for (let i = 0; i < 1 + below(3); i++) {
      const source = below(target);
      const odd = reduction && source < 2 && channels % 2 === 1;
      const possible = ANY_CHANNELS.filter((primitive) => !(odd && primitive === "skip_connect"));
      const first = below(possible.length);
      const chosen =
        below(4) === 0 ? [first, (first + 1 + below(possible.length - 1)) % possible.length] : [first];
      const weight = () => (mixture > 0 && below(3) > 0 ? below(mixture) : undefined);
      edges.push({ source, target, operations: chosen.map((k) => [possible[k], weight()] as const) });
    }
  }
  const states = Array.from({ length: nodes }, (_, node) => nodes + 1 - node);
  const some = states.filter(() => below(3) > 0);
  return {
    images: 2 + below(3),
    channels,
    height: 4 + below(7),
    width: 4 + below(9),
    nodes,
    reduction,
    affine: below(4) > 0,
    normedPools: below(3) === 0,
    edges: below(2) === 0 ? edges : edges.reverse(),
    concat: some.length > 0 ? some : [2],
    mixture,
    dropPath: below(2) === 0 ? 0 : 0.4,
  };
}

/** Runs a case both ways on the same values; hands over what they gave, then frees it all. */
function bothWays(it: PlanCase, training: boolean, check: (mine: Result, oracle: Result) => void): void {
  seed(7);
  const plan = createPlan(it);
  const wide = createPlan(it);
  for (const [i, module] of wide.modules.entries()) {
    module.loadStateDict(plan.modules[i].stateDict());
    module.to({ dtype: "float64" });
  }
  for (const module of [...plan.modules, ...wide.modules]) module.train(training);
  const made: { dispose(): void }[] = [...plan.modules, ...wide.modules];
  const parameter = (values: Tensor) => {
    made.push(new Parameter(values));
    return made.at(-1) as Parameter;
  };
  const shape = [it.images, it.channels, it.height, it.width];
  const inputs = new Map([
    ["s0", randn(shape)],
    ["s1", randn(shape)],
    ...(it.mixture > 0 ? ([["mixture", randn([it.mixture])]] as const) : []),
  ]);
  const paths = pathsOf(it);
  const fused = fuseCell(plan);
  const run = (double: boolean): Result => {
    const dtype = double ? "float64" : "float32";
    const leaves = new Map([...inputs].map(([name, values]) => [name, parameter(values.to({ dtype }))]));
    const [s0, s1, mixture] = ["s0", "s1", "mixture"].map((name) => leaves.get(name));
    const scales = paths?.to({ dtype });
    const output =
      double || !fused
        ? compositePlan(double ? wide : plan, s0!, s1!, mixture, scales)
        : fused
            .forward(BlockedImages.from(s0!), BlockedImages.from(s1!), { training, mixture, paths: scales })
            .toImages();
    const modules = double ? wide.modules : plan.modules;
    const named = modules.flatMap((module, m) => [...module.namedParameters(`operation ${m} `)]);
    seed(8);
    const cotangent = randn(output.shape).to({ dtype });
    const gradients = withGradients(output, cotangent, new Map<string, Tensor>([...leaves, ...named]));
    const statistics = new Map(modules.flatMap((module, m) => [...module.namedBuffers(`operation ${m} `)]));
    return { output, gradients, statistics };
  };
  try {
    check(run(false), run(true));
  } finally {
    for (const owned of made) owned.dispose();
  }
}

/** Scales of the paths, 0 or 1/(1 - p). */
function pathsOf({ edges, images, dropPath }: PlanCase): Tensor | undefined {
  if (dropPath === 0) return undefined;
  const below = draws(edges.length + images);
  const scales = edges.map(() =>
    Array.from({ length: images }, () => (below(2) === 0 ? 0 : 1 / (1 - dropPath))),
  );
  return tensor(scales.flat(), [edges.length, images]);
}

const describe = ({
  images,
  channels,
  height,
  width,
  reduction,
  edges,
  concat,
  affine,
  dropPath,
}: PlanCase) =>
  `${[images, channels, height, width].join("×")}${reduction ? " reduced" : ""}, ${concat.join()} of ` +
  `${edges.map(({ source, target, operations }) => `${source}→${target} ${operations.map(([name]) => name).join("+")}`).join(", ")}` +
  `${affine ? ", affine" : ""}${dropPath > 0 ? ", drop-path" : ""}`;

for (let number = 1; number <= RANDOM_CASES; number++) {
  const it = randomCase(number);
  test(
    `plan ${number} (${describe(it)}): as the composite cell in float64`,
    leakFree(() => bothWays(it, number % 5 > 0, assertSameResults)),
  );
}

/** A derived cell with an operation of every kind. */
const DERIVED: PlanCase = {
  images: 11,
  channels: 20,
  height: 9,
  width: 6,
  nodes: 4,
  reduction: false,
  affine: true,
  normedPools: false,
  edges: [
    { source: 0, target: 2, operations: [["sep_conv_3x3"]] },
    { source: 0, target: 2, operations: [["avg_pool_3x3"]] },
    { source: 1, target: 3, operations: [["sep_conv_5x5"], ["skip_connect"]] },
    { source: 2, target: 3, operations: [["dil_conv_3x3"]] },
    { source: 1, target: 4, operations: [["max_pool_3x3"]] },
    { source: 0, target: 4, operations: [["skip_connect"]] },
    { source: 3, target: 5, operations: [["sep_conv_7x7"]] },
    { source: 3, target: 5, operations: [["dil_conv_5x5"]] },
  ],
  concat: [5, 3],
  mixture: 0,
  dropPath: 0.3,
};

/** Runs `body` with the cell on the kernels and frees it. */
function withCell<T>(
  it: PlanCase,
  training: boolean,
  body: (forward: (s0: Tensor, s1: Tensor) => Tensor, parameters: Parameter[]) => T,
): T {
  seed(3);
  const plan = createPlan(it);
  for (const module of plan.modules) module.train(training);
  const pass: FusedPass = { training, paths: pathsOf(it) };
  const cell = fuseCell(plan)!;
  try {
    return body(
      (s0, s1) => cell.forward(BlockedImages.from(s0), BlockedImages.from(s1), pass).toImages(),
      plan.modules.flatMap((module) => module.parameters()),
    );
  } finally {
    for (const module of plan.modules) module.dispose();
  }
}

/** Everything that a step gives, as numbers. */
function step(it: PlanCase, threads: number): number[][] {
  setThreads(threads);
  return withCell(it, true, (forward, parameters) => {
    const shape = [it.images, it.channels, it.height, it.width];
    using s0 = new Parameter(randn(shape));
    using s1 = new Parameter(randn(shape));
    const output = forward(s0, s1);
    const leaves = [s0, s1, ...parameters].map((leaf, i) => [String(i), leaf] as [string, Tensor]);
    const gradients = withGradients(output, randn(output.shape), new Map(leaves));
    return [output, ...gradients.values()].map((value) => value?.toNumbers() ?? []);
  });
}

for (const reduction of [false, true]) {
  const it = { ...DERIVED, reduction };
  const kind = reduction ? "reduction" : "normal";
  test(
    `a derived ${kind} cell gives the same bytes on 1, 2, 3 and 11 threads`,
    leakFree(() => {
      const once = step(it, 1);
      for (const threads of [2, 3, 11]) assert.deepEqual(step(it, threads), once);
      setThreads(1);
    }),
  );
  test(
    `inference of a derived ${kind} cell gives what its evaluation with gradients gives, on any number of threads`,
    leakFree(() => {
      const shape = [it.images, it.channels, it.height, it.width];
      const [s0, s1] = [randn(shape), randn(shape)];
      const run = (threads: number, graph: boolean) => {
        setThreads(threads);
        return withCell(it, false, (forward) => (graph ? forward(s0, s1) : noGrad(() => forward(s0, s1))));
      };
      const once = run(1, false).toNumbers();
      for (const threads of [2, 3, 11]) assert.deepEqual(run(threads, false).toNumbers(), once);
      setThreads(1);
      assertClose(once, run(1, true).toNumbers(), 1e-6, "inference");
    }),
  );
  test(
    `without a graph a derived ${kind} cell in training gives the same bytes`,
    leakFree(() => {
      const shape = [it.images, it.channels, it.height, it.width];
      const [s0, s1] = [randn(shape), randn(shape)];
      const run = () => withCell(it, true, (forward) => forward(s0, s1).toNumbers());
      assert.deepEqual(noGrad(run), run());
    }),
  );
}

test(
  "a state whose gradient is zero everywhere gives and gets zeros",
  leakFree(() => {
    bothWays(
      {
        ...DERIVED,
        images: 2,
        channels: 6,
        nodes: 2,
        edges: [
          { source: 0, target: 2, operations: [["sep_conv_3x3"]] },
          { source: 1, target: 3, operations: [["dil_conv_3x3"]] },
        ],
        concat: [3],
      },
      true,
      assertSameResults,
    );
  }),
);
