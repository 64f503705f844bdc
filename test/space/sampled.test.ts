// One sampled operation an edge (GDAS): PyTorch's numbers, and nothing else is computed.
import assert from "node:assert/strict";
import { test } from "node:test";
import { crossEntropy } from "../../src/nn/loss.ts";
import { concreteSample, straightThrough } from "../../src/search/concrete.ts";
import type { Kernels } from "../../src/space/fused-cell.ts";
import { Supernet, type SupernetCell, type SupernetOptions } from "../../src/space/supernet.ts";
import { aten } from "../../src/tensor/aten.ts";
import { grad } from "../../src/tensor/autograd.ts";
import { type DType, Parameter } from "../../src/tensor/tensor.ts";
import { assertAllClose, assertClose } from "../support/assert-close.ts";
import { openFixture } from "../support/fixtures.ts";
import { leakFree } from "../support/leak-free.ts";

for (const [kernels, dtype, tolerance] of [
  ["composite", "float64", 1e-9],
  ["fused", "float32", 1e-4],
] as [Kernels, DType, number][]) {
  test(
    `a sampled supernet has PyTorch's logits and gradients, and leaves what was not chosen alone: ${kernels}`,
    leakFree(() => {
      const [start, fixture] = [openFixture("supernet"), openFixture("sampled")];
      const options = { ...start.json<SupernetOptions>("hyperparameters"), kernels };
      using net = new Supernet(options);
      net.to({ dtype });
      net.loadStateDict(start.under("weights"));
      const names = ["alphas_normal", "alphas_reduce"];
      const alphas = names.map((name) => new Parameter(start.tensor(name).to({ dtype })));
      const chosen = fixture.json<number[][]>("chosen");
      const [normal, reduce] = alphas.map((alpha, i) => {
        const noise = fixture.tensor(`noise/${names[i]}`).to({ dtype });
        const soft = concreteSample(
          aten.log_softmax.int(alpha, 1),
          noise,
          fixture.json<number>("temperature"),
        );
        return { operations: straightThrough(soft), active: chosen[i]!.map((k) => [k]) };
      });
      const images = start.tensor("batches/train1/images").to({ dtype });
      const logits = net.forward(images, { normal: normal!, reduce: reduce! });
      const loss = crossEntropy(logits, start.tensor("batches/train1/labels"));
      const close = (value: typeof logits, key: string) =>
        assertClose(value.to({ dtype: "float64" }), fixture.tensor(key), tolerance, key);
      close(logits, "logits");
      close(loss, "loss");

      const parameters = [...net.namedParameters()];
      const gradients = grad([loss], [...alphas, ...parameters.map(([, parameter]) => parameter)]);
      const all = [...names, ...parameters.map(([name]) => name)];
      const byName = new Map(all.map((name, i) => [name, gradients[i]?.to({ dtype: "float64" })]));
      const expected = fixture.under("grads");
      assertAllClose(byName, expected, tolerance, "gradient of");
      for (const name of all) assert.equal(byName.get(name) !== undefined, expected.has(name), name);
      for (const [c, cell] of (net.cells as readonly SupernetCell[]).entries()) {
        for (const [e, edge] of cell._ops.entries()) {
          for (const [name, buffer] of edge.namedBuffers()) {
            if (!name.endsWith("num_batches_tracked")) continue;
            const is = name.startsWith(`_ops.${chosen[cell.reduction ? 1 : 0]![e]}.`);
            assert.equal(buffer.item(), is ? 1 : 0, `batches seen by cells.${c}._ops.${e}.${name}`);
          }
        }
      }
      for (const alpha of alphas) alpha.dispose();
    }),
  );
}
