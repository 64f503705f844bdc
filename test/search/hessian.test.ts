// The Hessian in the alphas: its products against a matrix that is known and against each other in float64, its largest
// eigenvalue, and RobustDARTS' rule on sequences whose answer was worked out by hand.
import assert from "node:assert/strict";
import { test } from "node:test";
import { crossEntropy } from "../../src/nn/loss.ts";
import { createGenerator } from "../../src/random/generator.ts";
import { EV_LOCAL_AVERAGE, evLocalAverage } from "../../src/search/ev-local-average.ts";
import { differenceProduct, largestEigenvalue, withExactProduct } from "../../src/search/hessian.ts";
import { Search } from "../../src/search/search.ts";
import { Supernet } from "../../src/space/supernet.ts";
import { seed } from "../../src/tensor/runtime.ts";
import { keep, scope } from "../../src/tensor/scope.ts";
import { Parameter, randn, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { assertClose } from "../support/assert-close.ts";
import { counted, leakFree } from "../support/leak-free.ts";
import { fingerprint, toyConfig, toyDataset } from "../support/toy-problem.ts";

const MATRIX = [
  [2, -1, 0.5],
  [-1, 1, 0.25],
  [0.5, 0.25, -3],
];

const times = (matrix: readonly (readonly number[])[]) => (vector: readonly number[]) =>
  matrix.map((row) => row.reduce((sum, entry, k) => sum + entry * vector[k]!, 0));

/** The largest root of the characteristic polynomial, by bisection from above. */
function largestRoot([[a, b, c], [, d, e], [, , f]]: number[][]): number {
  const at = (x: number) =>
    (a! - x) * ((d! - x) * (f! - x) - e! * e!) -
    b! * (b! * (f! - x) - e! * c!) +
    c! * (b! * e! - (d! - x) * c!);
  let [low, high] = [2, 10];
  for (let i = 0; i < 100; i++) {
    const middle = (low + high) / 2;
    if (Math.sign(at(middle)) === Math.sign(at(high))) high = middle;
    else low = middle;
  }
  return low;
}

test("the largest eigenvalue is found, not the one of the largest modulus", () => {
  const options = { tolerance: 1e-12, products: 500 };
  assert.ok(Math.abs(largestEigenvalue(times(MATRIX), 3, options) - largestRoot(MATRIX)) < 1e-6);
  const negative = MATRIX.map((row) => row.map((entry) => -entry));
  const flipped = largestEigenvalue(times(negative), 3, options);
  assert.ok(flipped > 3 && flipped < 3.2, `${flipped}`);
  assert.equal(
    largestEigenvalue((vector) => vector.map(() => 0), 3),
    0,
  );
});

test(
  "of the loss ½·aᵀMa both products are M's, also where a is in two tensors",
  leakFree(() => {
    using first = new Parameter(tensor([0.3, -0.7], [2], { dtype: "float64" }));
    using second = new Parameter(tensor([0.2], [1], { dtype: "float64" }));
    const loss = (): Tensor => {
      const a = [first.select(0, 0), first.select(0, 1), second.select(0, 0)];
      const terms = a.flatMap((x, i) => a.map((y, k) => x.mul(y).mul(MATRIX[i]![k]! / 2)));
      return terms.reduce((sum, term) => sum.add(term));
    };
    const vector = [0.4, -1.5, 2];
    const expected = times(MATRIX)(vector);
    withExactProduct(loss, [first, second], (product) =>
      assertClose(product(vector), expected, 1e-12, "exact"),
    );
    assertClose(differenceProduct(() => loss, [first, second])(vector), expected, 1e-9, "differences");
    assertClose(first.toNumbers(), [0.3, -0.7], 0, "alphas are as found");
  }),
);

test(
  "on a supernet in float64 exact products and differences agree, and with them the eigenvalues",
  leakFree(() => {
    seed(5);
    const primitives = ["none", "skip_connect", "sep_conv_3x3", "max_pool_3x3"] as const;
    using supernet = new Supernet({
      ...{ channels: 2, cells: 3, nodes: 2, primitives, stemMultiplier: 1, imageChannels: 3, classes: 3 },
      kernels: "composite",
    }).to({ dtype: "float64" });
    const alphas = [0, 1].map(
      () => new Parameter(scope(() => keep(randn([5, 4], { dtype: "float64" }).mul(0.3)))),
    );
    const images = randn([6, 3, 8, 8], { dtype: "float64" });
    const labels = tensor([0, 1, 2, 0, 1, 2], [6], { dtype: "int64" });
    const loss = () => {
      const [normal, reduce] = alphas.map((alpha) => ({ operations: alpha.softmax(1) }));
      return crossEntropy(supernet.forward(images, { normal: normal!, reduce: reduce! }), labels);
    };
    const generator = createGenerator(2, "vector");
    const vector = Array.from({ length: 40 }, () => generator.uniform() - 0.5);
    const differences = differenceProduct(() => loss, alphas, { radius: 1e-4 });
    withExactProduct(loss, alphas, (exact) => {
      const expected = exact(vector);
      assert.ok(Math.hypot(...expected) > 1e-3, "there is curvature");
      assertClose(differences(vector), expected, 1e-6, "products");
      const [a, b] = [exact, differences].map((product) =>
        largestEigenvalue(product, 40, { tolerance: 1e-8, products: 300 }),
      );
      assert.ok(a! > 0 && Math.abs(a! - b!) < 1e-5 * a!, `${a} and ${b}`);
    });
    for (const alpha of alphas) alpha.dispose();
  }),
);

test(
  "a search measures the same eigenvalue on any kernels and each time, and stays as it was",
  counted(() => {
    const found = ["auto", "composite"].map((kernels) => {
      const config = toyConfig({ kernels, "search.method": "r-darts", "search.order": "first" });
      using search = new Search(config, toyDataset());
      search.runStep();
      const before = fingerprint(search);
      const value = search.eigenvalue("exact")!;
      assert.equal(search.eigenvalue("exact"), value);
      // Of a step of this size no more is known: activations change sign on the way.
      assert.ok(Number.isFinite(search.eigenvalue("differences", { products: 3 })));
      assert.deepEqual(fingerprint(search), before);
      return value;
    });
    assert.ok(found[0]! > 0);
    assertClose([found[0]!], [found[1]!], 1e-3 * found[1]!, "eigenvalues");
  }),
);

/** Epoch at which the rule ends a search of 50 epochs with these eigenvalues, and the epoch that it goes back to. */
function ruleOn(value: (epoch: number) => number): (number | undefined)[] {
  const samples: { epoch: number; value: number }[] = [];
  for (let epoch = 0; epoch < 50; epoch += 2) {
    samples.push({ epoch, value: value(epoch) });
    const found = evLocalAverage(samples, EV_LOCAL_AVERAGE);
    if (found) return [epoch, found.back, Math.round(found.growth * 1e4) / 1e4];
  }
  return [];
}

test("the rule goes on or ends as worked out by hand", () => {
  assert.deepEqual(
    ruleOn(() => 0.1),
    [],
  );
  assert.deepEqual(
    ruleOn((epoch) => 0.1 * 1.03 ** epoch),
    [],
  );
  assert.deepEqual(
    ruleOn((epoch) => 0.1 * 1.04 ** epoch),
    [22, 10, 1.3686],
  );
  assert.deepEqual(
    ruleOn((epoch) => 0.1 + 0.01 * epoch),
    [22, 10, 1.4],
  );
  const late = (epoch: number) => 0.1 * 1.15 ** Math.max(0, (epoch - 24) / 2);
  assert.deepEqual(ruleOn(late), [32, 20, 1.3485]);
});

test(
  "R-DARTS ends by the rule and says where to go back to, also over a resume",
  counted(() => {
    const dataset = toyDataset();
    const config = toyConfig({ "search.method": "r-darts", "search.epochs": 50 });
    assert.equal(config.search.select, "guard");
    let search = new Search(config, dataset);
    while (!search.finished) {
      const { epoch } = search;
      search.endEpoch(undefined, search.method.wantsEigenvalue!(epoch) ? 0.1 * 1.04 ** epoch : undefined);
      if (epoch !== 15) continue;
      const resumed = new Search(config, dataset);
      scope(() => {
        const { tensors, state } = search.snapshot();
        resumed.restore({ tensors, state: JSON.parse(JSON.stringify(state)) });
      });
      search.dispose();
      search = resumed;
    }
    assert.equal(search.epoch, 23);
    assert.equal(search.ended?.back, 10);
    search.dispose();
  }),
);

test(
  "R-DARTS drops the outputs of edges in training, more from epoch to epoch, and none in a validation",
  counted(() => {
    const settings = { "search.method": "r-darts", "search.options.dropPath": 0.6, "search.epochs": 4 };
    using search = new Search(toyConfig(settings), toyDataset());
    const figures = [0, 1, 2, 3].map((epoch) => search.method.figures!(epoch)["dropPath"]!);
    assertClose(figures, [0, 0.2, 0.4, 0.6], 1e-12, "probabilities");
    search.epoch = 3;
    assert.deepEqual(search.validate(), search.validate());
    scope(() => {
      const images = randn([2, 3, 8, 8]);
      const forward = () => search.supernet.forward(images, search.method.mixture("weights", 3)).toNumbers();
      assert.notDeepEqual(forward(), forward());
      assert.deepEqual(search.supernet.evaluating(forward), search.supernet.evaluating(forward));
    });
  }),
);

test(
  "R-DARTS judges by its own measurements, whatever the guard measures in between",
  counted(() => {
    using search = new Search(toyConfig({ "search.method": "r-darts", "search.epochs": 50 }), toyDataset());
    while (!search.finished) {
      const { epoch } = search;
      const wanted = search.method.wantsEigenvalue!(epoch);
      assert.equal(wanted, epoch % 2 === 0);
      search.endEpoch(undefined, wanted ? 0.1 : 1.2 ** epoch);
    }
    assert.deepEqual([search.epoch, search.ended], [50, undefined]);
  }),
);

test(
  "SNAS drops the outputs of edges in training with one probability throughout, and none in a validation",
  counted(() => {
    const settings = { "search.method": "snas", "search.options.dropPath": 0.5, "search.order": "first" };
    using search = new Search(toyConfig(settings), toyDataset());
    assert.deepEqual(
      [0, 2].map((epoch) => scope(() => search.method.mixture("weights", epoch).dropPath)),
      [0.5, 0.5],
    );
    assert.deepEqual(search.validate(), search.validate());
    const random = toyConfig({ ...settings, "search.options.dropPath": 0 });
    using plain = new Search(random, toyDataset());
    // The same seed: the same weights, alphas and samples.
    assert.notEqual(search.runStep().trainLoss, plain.runStep().trainLoss);
  }),
);
