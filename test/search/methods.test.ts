// The contract that every search method keeps, for every order of steps that it defines, on the fused kernels where
// they cover its cells and on libtorch's operators, and every form that its options give it: a new method needs no new
// test, a new form one line.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import {
  type CellEdges,
  type Edge,
  edgesByNode,
  edgesOfCell,
  type Genotype,
  keptBy,
} from "../../src/genotype/genotype.ts";
import { checkGenotype } from "../../src/genotype/parse.ts";
import type { MethodDeclaration, Order } from "../../src/methods/declaration.ts";
import { declaredMethods, derivedCells } from "../../src/methods/table.ts";
import type { SGD } from "../../src/optim/sgd.ts";
import { loadCheckpoint, saveCheckpoint } from "../../src/run/checkpoint.ts";
import { Search } from "../../src/search/search.ts";
import { DARTS_PRIMITIVES } from "../../src/space/primitives.ts";
import { noGrad } from "../../src/tensor/autograd.ts";
import { liveTensors, seed } from "../../src/tensor/runtime.ts";
import { scope } from "../../src/tensor/scope.ts";
import { full } from "../../src/tensor/tensor.ts";
import { assertClose } from "../support/assert-close.ts";
import { counted } from "../support/leak-free.ts";
import { fingerprint, fingerprintOf, toyConfig, toyDataset } from "../support/toy-problem.ts";

const BILEVEL = ["first", "second"];
/** Methods whose passes mix by samples. */
const SAMPLED = ["gdas", "snas"];
/** Methods that spread a node's weight over all of its pairs: their last cell, and so all they learn, is the fainter. */
const isFaint = ({ method, settings }: Subject) =>
  method === "i-darts" || settings["search.options.softmax"] === "node";
/** Forms of the methods that options choose. */
const FORMS: readonly (readonly [method: string, options: Readonly<Record<string, unknown>>])[] = [
  ["i-darts", { pairs: 3 }],
  ["darts", { softmax: "node" }],
  ["pc-darts", { softmax: "node", edgeNormalization: false }],
  ["gdas", { fixedReduction: true }],
  ["snas", { keep: "every-edge" }],
  ["snas", { dropPath: 0.3 }],
  ["sdarts-rs", { softmax: "node" }],
  ["sdarts-adv", { softmax: "node" }],
  ["r-darts", { adapt: true }],
];
/** Methods that learn nothing of cells: what the contract says of alphas is not said of them. */
const WITHOUT_ALPHAS = ["random"];
/** Methods that may leave an edge without an operation. */
const MAY_KEEP_NONE = ["snas"];
/** What a method needs beside the settings of the toy: PC-DARTS, channels that its share divides. */
const NEEDS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  "pc-darts": { "search.channels": 4, "search.options.partialChannels": 2 },
  // Of its fixed reduction cell the channels are a multiple of eight.
  gdas: { "search.channels": 4, "train.channels": 4 },
  // One stage each: what happens between stages has tests of its own.
  random: { "search.options.draws": 1 },
  "p-darts": {
    "search.options.addCells": [0],
    "search.options.addChannels": [0],
    "search.options.dropOperations": [0],
    "search.options.skipDropout": [0.2],
  },
};
const dataset = toyDataset();
const folder = mkdtempSync(join(tmpdir(), "darts-methods-"));
after(() => rmSync(folder, { recursive: true }));

/** A method in one of its forms. */
interface Subject {
  readonly title: string;
  readonly method: string;
  readonly orders: readonly Order[];
  readonly settings: Readonly<Record<string, unknown>>;
}

const methods: readonly Subject[] = declaredMethods().map(({ name, orders }) => ({
  title: name,
  method: name,
  orders,
  settings: { "search.method": name, ...NEEDS[name] },
}));
const forms: readonly Subject[] = FORMS.map(([name, options]) => {
  const { orders, settings } = methods.find(({ method }) => method === name)!;
  const own = Object.entries(options).map(([key, value]) => [`search.options.${key}`, value]);
  const title = `${name} with ${JSON.stringify(options)}`;
  return { title, method: name, orders, settings: { ...settings, ...Object.fromEntries(own) } };
});

for (const subject of methods) {
  for (const order of subject.orders)
    for (const kernels of ["auto", "composite"]) keepsContract(subject, order, kernels);
}
for (const subject of forms) for (const order of subject.orders) keepsContract(subject, order, "auto");

for (const { name, orders, refusals = {} } of declaredMethods() as readonly MethodDeclaration[]) {
  test(`${name}: an order that it does not define is refused with the reason and with those that it has`, () => {
    const others = (["first", "second", "joint", "alternating"] as const).filter(
      (order) => !orders.includes(order),
    );
    assert.deepEqual(Object.keys(refusals).sort(), others.sort());
    for (const order of others) {
      assert.throws(() => toyConfig({ ...NEEDS[name], "search.method": name, "search.order": order }), {
        name: "UserError",
        message: `--search-order ${order}: search.order is ${order}, which ${name} does not define: ${refusals[order]}. It has: ${orders.join(", ")}.`,
      });
    }
  });
}

/** A search on the toy, in a method's own way. */
function begin(subject: Subject, settings: Readonly<Record<string, unknown>>): Search {
  return new Search(toyConfig({ ...subject.settings, ...settings }), dataset);
}

for (const subject of [...methods, ...forms]) {
  test(
    `${subject.title}: fused and composite kernels make the same steps`,
    counted(() => {
      for (const order of subject.orders) {
        const [auto, composite] = ["auto", "composite"].map((kernels) => {
          using search = begin(subject, { kernels, "search.order": order });
          const losses = [search.runStep(), search.runStep()].map(({ trainLoss }) => trainLoss);
          const { normal, reduce } = search.method.alphaRows();
          return { losses, alphas: [...normal, ...reduce].flat() };
        });
        assertClose(auto!.losses, composite!.losses, 1e-4, `${order}: losses`);
        // Adam's first steps are signs, and on the second-order path differences of small numbers: most must agree.
        const differing = auto!.alphas.filter((alpha, i) => Math.abs(alpha - composite!.alphas[i]!) > 1e-3);
        assert.ok(
          differing.length <= auto!.alphas.length / 20,
          `${order}: ${differing.length} alphas differ`,
        );
      }
    }),
  );
}

function keepsContract(subject: Subject, order: Order, kernels: string): void {
  const { title, method } = subject;
  const { fixed, ...keeping } = derivedCells(toyConfig(subject.settings));
  const learns = !WITHOUT_ALPHAS.includes(method);
  const start = (settings: Readonly<Record<string, unknown>> = {}) =>
    begin(subject, { "search.order": order, kernels, ...settings });
  const contract = (sentence: string, body: () => void) =>
    test(`${title}, ${order}, ${kernels}: ${sentence}`, counted(body));

  contract("every alpha moves by its gradient, and the derived genotype is valid", () => {
    using search = start({ "search.archWeightDecay": 0 });
    const before = [...search.method.alphas.values()].map((alpha) => alpha.toNumbers());
    for (let i = 0; i < 8; i++) search.runStep();
    for (const [i, [name, alpha]] of [...search.method.alphas].entries())
      for (const [k, value] of alpha.toNumbers().entries()) assert.notEqual(value, before[i]![k], name);
    const { normal, reduce } = search.method.alphaRows();
    assert.equal(search.method.alphas.size > 0, learns);
    const widths = [normal, reduce].map((rows) => rows.map((row) => row.length));
    assert.deepEqual(widths, learns ? [Array(5).fill(8), Array(fixed ? 0 : 5).fill(8)] : [[], []]);
    const hasBetas = [...search.method.alphas.keys()].some((name) => name.startsWith("betas"));
    assert.equal(
      search.method.edgeLogits !== undefined,
      hasBetas,
      "logits of edges are logged if there are any",
    );
    const genotype = search.method.derive();
    assert.deepEqual(checkGenotype(genotype), genotype);
    const edges = [0, 1].map((node) =>
      keptBy(
        keeping,
        Array.from({ length: node + 2 }, () => DARTS_PRIMITIVES.slice(1)),
      ),
    );
    const counts = (cell: CellEdges) => edgesByNode(cell).map((node) => node.length);
    assert.deepEqual(counts(genotype.normal), edges);
    assert.deepEqual(genotype.reduce, fixed?.reduce ?? genotype.reduce);
    assert.deepEqual(counts(genotype.reduce), fixed ? [1, 1, 1, 1] : edges);
    const none = edgesOf(genotype).filter(([op]) => op === "none");
    assert.ok(none.length === 0 || MAY_KEEP_NONE.includes(method));
  });

  contract("where none is by far the largest it is derived only if the method's rule says so", () => {
    using search = start();
    noGrad(() => {
      for (const alpha of search.method.alphas.values()) {
        const [edges, ops] = alpha.shape as [number, number | undefined];
        if (ops === undefined) continue; // logits of edges
        using values = full([edges, ops], 0);
        using none = values.select(1, 0);
        using large = full([edges], 100);
        none.copy_(large);
        alpha.copy_(values);
      }
    });
    const edges = edgesOf(search.method.derive());
    const none = edges.filter(([op]) => op === "none").length;
    assert.equal(none, MAY_KEEP_NONE.includes(method) ? edges.length : 0);
  });

  contract("a checkpoint taken within an epoch is continued to the very same bytes", () => {
    const path = join(folder, `${title.replaceAll(/\W+/g, "-")}-${order}-${kernels}.safetensors`);
    using search = start();
    search.runStep();
    search.runStep();
    scope(() => saveCheckpoint(path, search.snapshot()));
    const expected = goOn(search);

    seed(987654);
    using resumed = start();
    scope(() => resumed.restore(loadCheckpoint(path)));
    assert.deepEqual(goOn(resumed), expected);
  });

  contract("the same seed gives the same bytes, another seed gives others", () => {
    const bytes = [2, 2, 3].map((number) => {
      using search = start({ seed: number });
      return search.runStep() && search.runStep() && fingerprint(search);
    });
    assert.deepEqual(bytes[1], bytes[0]);
    const differs = (prefix: string) =>
      Object.keys(bytes[0]!).some((name) => name.startsWith(prefix) && bytes[0]![name] !== bytes[2]![name]);
    const parts = ["weights/", "weight-optimizer/", ...(learns ? ["alphas/", "arch-optimizer/"] : [])];
    for (const part of parts) assert.ok(differs(part), part);
  });

  contract(
    "the steps of two epochs leave as many tensors alive as the first, and dispose leaves none",
    () => {
      using search = start({ "search.epochs": 40 });
      search.runStep();
      // A sampled operation has no momentum before it is first drawn, so what a checkpoint holds is counted apart.
      const others = () => scope(() => liveTensors() - search.snapshot().tensors.size);
      const alive = others();
      // Counted, not measured: one tensor left by a step or by the end of an epoch shows at once.
      while (search.epoch < 2 || search.step < 2) {
        if (search.step === search.stepsPerEpoch) search.endEpoch(search.validate());
        search.runStep();
      }
      assert.equal(others(), alive);
    },
  );
  if (kernels === "composite") return;

  contract("the loss of the weights falls on images that can be told apart", () => {
    const sampled = SAMPLED.includes(method);
    const faint = isFaint(subject);
    // Of a sampled method each step trains another network: it needs more of them, and means over more of them.
    const epochs = sampled ? 60 : faint ? 24 : 12;
    // The loss of sdarts-adv is that under its attack, whose radius grows tenfold over the epochs, and is the larger beside
    // the small probabilities of a node's softmax: the loss may rise by that alone (at radius 0 it is DARTS' to the last
    // digit). With one radius throughout, losses are compared with their like.
    const attacked = method === "sdarts-adv" && faint;
    using search = start({
      "search.batchSize": 16,
      "search.epochs": Math.round((5 / 3) * epochs),
      "search.learningRate": sampled || faint ? 0.05 : 0.025,
      ...(attacked && { "search.options.epsilon": 0.03 }),
      "data.cropPadding": 0,
    });
    const losses: number[] = [];
    for (let epoch = 0; epoch < epochs; epoch++) {
      while (search.step < search.stepsPerEpoch) losses.push(search.runStep().trainLoss);
      search.endEpoch(undefined);
    }
    const mean = (values: readonly number[]) => values.reduce((a, b) => a + b) / values.length;
    const quarter = epochs / 4;
    const [first, last] = [mean(losses.slice(0, quarter)), mean(losses.slice(-quarter))];
    assert.ok(last < 0.8 * first, `the loss went from ${first} to ${last}`);
  });

  const alphaContract = learns ? contract : () => {};
  alphaContract("archFromEpoch leaves the alphas alone before that epoch and moves them from it on", () => {
    using search = start({ "search.archFromEpoch": 1 });
    const before = fingerprintOf(search, "alphas/");
    while (search.step < search.stepsPerEpoch) assert.equal(search.runStep().archLoss, undefined);
    assert.deepEqual(fingerprintOf(search, "alphas/"), before);
    search.endEpoch(search.validate());
    assert.ok(Number.isFinite(search.runStep().archLoss));
    assert.notDeepEqual(fingerprintOf(search, "alphas/"), before);
  });

  contract(
    "the weights move by the epoch's learning rate: not at all where the schedule ends at zero",
    () => {
      using search = start({ "search.epochs": 1, "search.learningRateMin": 0 });
      const weights = () => [...search.supernet.namedParameters()].map(([, weight]) => weight.toArray());
      search.runStep();
      const moved = weights();
      search.endEpoch(undefined);
      search.runStep();
      assert.deepEqual(weights(), moved);
    },
  );

  contract("a loss that is no number stops the search with its step and epoch", () => {
    using search = start({
      "search.learningRate": 1e30,
      "search.learningRateMin": 1e30,
      "search.gradClip": 0,
    });
    const message =
      /diverged: the loss or its gradient is (NaN|-?Infinity) at step \d of epoch 1, .*search\.learningRate/;
    assert.throws(
      () => {
        while (search.step < 4) search.runStep();
      },
      { name: "UserError", message },
    );
  });

  if (!BILEVEL.includes(order)) {
    contract("there is no validation, because every image trains the weights", () => {
      using search = start();
      assert.equal(search.validate(), undefined);
      assert.equal(search.stepsPerEpoch, dataset.train.count / 4);
    });
    return;
  }

  alphaContract("moving the alphas leaves the weights as they were, to the bit", () => {
    using search = start();
    search.runStep(); // from here on there is momentum
    const isBuffer = (name: string) => /running_|num_batches/.test(name);
    const [before, afterwards] = aroundArchitectureStep(search, () => fingerprintOf(search, "weights/"));
    for (const [name, bytes] of Object.entries(before)) {
      // As published: the first-order pass is an ordinary one, and running statistics take part in it.
      if (order === "first" && isBuffer(name)) continue;
      assert.equal(afterwards[name], bytes, name);
    }
  });

  contract(
    "validation uses running statistics, changes nothing, and training goes on in training mode",
    () => {
      using search = start();
      search.runStep();
      const before = fingerprint(search);
      const first = search.validate()!;
      assert.ok(first.accuracy >= 0 && first.accuracy <= 1);
      assert.deepEqual(search.validate(), first);
      assert.deepEqual(fingerprint(search), before);
      for (const module of search.supernet.modules()) assert.equal(module.training, true);
      const [, mean] = [...search.supernet.namedBuffers()].find(([name]) => name.endsWith("running_mean"))!;
      using shifted = full(mean.shape, 3);
      mean.copy_(shifted);
      assert.notEqual(search.validate()!.loss, first.loss);
    },
  );
}

/** The edges of both cells. */
function edgesOf({ normal, reduce }: Genotype): readonly Edge[] {
  return [normal, reduce].flatMap(edgesOfCell);
}

/** The rest of this epoch and half of the next: every loss on the way, and the bytes at its end. */
function goOn(search: Search): unknown {
  const losses: unknown[] = [];
  while (search.step < search.stepsPerEpoch) losses.push(search.runStep());
  losses.push({ ...search.totals }, search.validate());
  search.endEpoch(undefined);
  losses.push(search.runStep(), search.runStep());
  return { losses, bytes: fingerprint(search), genotype: search.method.derive() };
}

/** Makes a step; what `look` sees before the alphas' part of it (when the weights' part, if it comes first, is done), and after. */
function aroundArchitectureStep<T>(search: Search, look: () => T): [before: T, after: T] {
  let before = look();
  let after: T | undefined;
  const { step } = search.method;
  search.method.step = (given) => {
    const watch = <O extends SGD | typeof given.archOptimizer>(optimizer: O, then: () => void): O =>
      new Proxy(optimizer, {
        get(target, name) {
          const value: unknown = Reflect.get(target, name, target);
          if (typeof value !== "function") return value;
          return (...parameters: unknown[]) => {
            const result: unknown = value.apply(target, parameters);
            if (name === "step") then();
            return result;
          };
        },
      });
    return step({
      ...given,
      weightOptimizer: watch(given.weightOptimizer, () => {
        if (after === undefined) before = look();
      }),
      archOptimizer: watch(given.archOptimizer, () => {
        after = look();
      }),
    });
  };
  search.runStep();
  assert.ok(after, "the alphas were moved");
  return [before, after];
}
