// Partial channels (PC-DARTS) composed of libtorch's operators: PyTorch's numbers, published counts, K = 1, odd sizes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { countSupernet } from "../../src/genotype/counts.ts";
import { edgeOffset } from "../../src/genotype/genotype.ts";
import { crossEntropy } from "../../src/nn/loss.ts";
import { MixedOp } from "../../src/space/mixed-op.ts";
import { PartialMixedOp, partialEdges } from "../../src/space/partial-channels.ts";
import { DARTS_PRIMITIVES } from "../../src/space/primitives.ts";
import { type CellMixture, Supernet, type SupernetOptions } from "../../src/space/supernet.ts";
import { aten } from "../../src/tensor/aten.ts";
import { grad } from "../../src/tensor/autograd.ts";
import { cat, Parameter, randn, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { assertAllClose, assertClose } from "../support/assert-close.ts";
import { openFixture } from "../support/fixtures.ts";
import { leakFree } from "../support/leak-free.ts";

const float64 = { dtype: "float64" } as const;
const CONTEXT = { channels: 8, stride: 1, primitives: DARTS_PRIMITIVES, edge: 0, reduction: false };

/** Softmaxed alphas, and the betas' softmax over the edges into each node. */
function mixtureOf(alphas: Tensor, betas: Tensor, nodes: number): CellMixture {
  const weights = Array.from({ length: nodes }, (_, node) =>
    aten.slice.Tensor(betas, 0, edgeOffset(node), edgeOffset(node + 1)).softmax(0),
  );
  return { operations: alphas.softmax(1), edges: cat(weights, 0) };
}

test(
  "a whole supernet with edge weights: forward, loss and every gradient are PyTorch's",
  leakFree(() => {
    const fixture = openFixture("partial-channels");
    const shape = fixture.json<SupernetOptions & { share: number }>("hyperparameters");
    using net = new Supernet({ ...shape, createEdge: partialEdges(shape.share) }).to(float64);
    net.loadStateDict(fixture.under("weights"));
    const names = ["alphas_normal", "alphas_reduce", "betas_normal", "betas_reduce"];
    const architecture = names.map((name) => new Parameter(fixture.tensor(name)));
    const [alphasNormal, alphasReduce, betasNormal, betasReduce] = architecture;
    const mixture = () => ({
      normal: mixtureOf(alphasNormal!, betasNormal!, shape.nodes),
      reduce: mixtureOf(alphasReduce!, betasReduce!, shape.nodes),
    });
    const images = fixture.tensor("images");
    const logits = net.forward(images, mixture());
    const loss = crossEntropy(logits, fixture.tensor("labels"));
    assertClose(logits, fixture.tensor("forward/logits"), 1e-9, "logits");
    assertClose(loss, fixture.tensor("forward/loss"), 1e-9, "loss");
    const all = [...names, ...[...net.namedParameters()].map(([name]) => name)];
    const gradients = grad([loss], [...architecture, ...net.parameters()]);
    const byName = new Map(all.map((name, i) => [name, gradients[i]]));
    assertAllClose(byName, fixture.under("forward/grads"), 1e-9, "gradient of");
    net.eval();
    const evalLogits = net.forward(images, mixture());
    assertClose(evalLogits, fixture.tensor("forward/eval_logits"), 1e-9, "logits in evaluation");
    for (const parameter of architecture) parameter.dispose();
  }),
);

test(
  "the fused kernels give the same supernet in float32, the edge weights' gradients included",
  leakFree(() => {
    const fixture = openFixture("partial-channels");
    const shape = fixture.json<SupernetOptions & { share: number }>("hyperparameters");
    const createEdge = partialEdges(shape.share);
    using net = new Supernet({ ...shape, createEdge, kernels: "fused" });
    net.loadStateDict(fixture.under("weights"));
    const names = ["alphas_normal", "alphas_reduce", "betas_normal", "betas_reduce"];
    const architecture = names.map((name) => new Parameter(fixture.tensor(name).to({ dtype: "float32" })));
    const [alphasNormal, alphasReduce, betasNormal, betasReduce] = architecture;
    const logits = net.forward(fixture.tensor("images").to({ dtype: "float32" }), {
      normal: mixtureOf(alphasNormal!, betasNormal!, shape.nodes),
      reduce: mixtureOf(alphasReduce!, betasReduce!, shape.nodes),
    });
    const close = (value: Tensor, key: string) =>
      assertClose(value.to(float64), fixture.tensor(key), 1e-4, key);
    close(logits, "forward/logits");
    const gradients = grad([crossEntropy(logits, fixture.tensor("labels"))], architecture);
    for (const [i, name] of names.entries()) close(gradients[i]!, `forward/grads/${name}`);
    for (const parameter of architecture) parameter.dispose();
  }),
);

for (const [share, published] of [
  [4, 299_578],
  [2, 671_482],
] as const) {
  test(
    `the supernet of K = ${share} has ${published.toLocaleString("en")} weights, built and counted`,
    leakFree(() => {
      const shape = { channels: 16, cells: 8, nodes: 4, primitives: DARTS_PRIMITIVES, classes: 10 };
      using net = new Supernet({
        ...shape,
        stemMultiplier: 3,
        imageChannels: 3,
        createEdge: partialEdges(share),
      });
      assert.equal(
        net.parameters().reduce((sum, { numel }) => sum + numel, 0),
        published,
      );
      assert.equal(countSupernet({ ...shape, partialChannels: share }).params, published);
    }),
  );
}

test(
  "with K = 1 an edge is the mixed operation, by name and by value",
  leakFree(() => {
    for (const stride of [1, 2]) {
      using plain = new MixedOp({ ...CONTEXT, stride });
      using partial = new PartialMixedOp({ ...CONTEXT, stride }, 1);
      partial.loadStateDict(plain.stateDict());
      const [x, weights] = [randn([2, 8, 6, 6]), randn([8]).softmax(0)];
      const expected = plain.forward(x, weights).toNumbers();
      assert.deepEqual(partial.forward(x, weights).toNumbers(), expected);
    }
  }),
);

test(
  "the leading channels are mixed, the others bypass, and a shuffle of K groups follows",
  leakFree(() => {
    using edge = new PartialMixedOp({ ...CONTEXT, primitives: ["skip_connect"] }, 4);
    const x = tensor([0, 1, 2, 3, 4, 5, 6, 7], [1, 8, 1, 1]);
    // Channels 0 and 1 doubled; then channel 4·i + g of the result is channel 2·g + i.
    assert.deepEqual(edge.forward(x, tensor([2], [1])).toNumbers(), [0, 2, 4, 6, 2, 3, 5, 7]);
  }),
);

test(
  "at stride 2 the bypass is the maximum of 2×2 pixels, at the far border of odd sizes of fewer",
  leakFree(() => {
    const context = { ...CONTEXT, channels: 4, stride: 2, primitives: ["none" as const] };
    using edge = new PartialMixedOp(context, 2);
    const image = [1, 2, 3, 4, 5, 6, 7, 8, 9]; // 3×3
    const x = tensor(
      [0, 1, 2, 3].flatMap((channel) => image.map((value) => value + 10 * channel)),
      [1, 4, 3, 3],
    );
    const value = edge.forward(x, tensor([1], [1]));
    assert.deepEqual(value.shape, [1, 4, 2, 2]);
    const pooled = [5, 6, 8, 9];
    const expected = [[0, 0, 0, 0], pooled.map((v) => v + 20), [0, 0, 0, 0], pooled.map((v) => v + 30)];
    assert.deepEqual(value.toNumbers(), expected.flat());
  }),
);

test("a K that does not divide the channels is refused", () => {
  for (const share of [3, 0, 1.5, -4, Number.NaN]) {
    assert.throws(() => new PartialMixedOp(CONTEXT, share), /got K = .* for cells of 8 channels/);
  }
});
