// Who frees a tensor: scopes, dispose and using; what may be done with one that was freed.
import assert from "node:assert/strict";
import { test } from "node:test";
import { aten } from "../../src/tensor/aten.ts";
import { liveTensors } from "../../src/tensor/runtime.ts";
import { exchange, keep, scope } from "../../src/tensor/scope.ts";
import { ones, Parameter, scalar, type Tensor, zeros } from "../../src/tensor/tensor.ts";
import { counted, leakFree } from "../support/leak-free.ts";

test(
  "a scope frees what was made inside",
  counted(() => {
    const inside = scope(() => {
      const before = liveTensors();
      ones([2])
        .add(1)
        .mul(ones([2]));
      return liveTensors() - before;
    });
    assert.equal(inside, 4);
  }),
);

test(
  "a scope keeps the tensor that is returned",
  counted(() => {
    const kept = scope(() => ones([2]).add(1));
    assert.deepEqual(kept.toNumbers(), [2, 2]);
    kept.dispose();
  }),
);

test(
  "the inner scope hands what it returns to the outer one, which frees it",
  counted(() => {
    let inner: Tensor | undefined;
    scope(() => {
      inner = scope(() => ones([3]).mul(2));
      assert.deepEqual(inner.toNumbers(), [2, 2, 2]);
    });
    assert.equal(inner!.freed, true);
  }),
);

const containers: [string, (t: Tensor) => unknown][] = [
  ["an array", (t) => [t]],
  ["nested arrays", (t) => [1, [t]]],
  ["a plain object", (t) => ({ loss: t, count: 1 })],
  ["a map", (t) => new Map([["loss", t]])],
  ["a set", (t) => new Set([t])],
  ["an object in a map in an array", (t) => [new Map([["a", { b: t }]])]],
];
for (const [name, wrap] of containers) {
  test(
    `a tensor in ${name} is kept when that is returned, and nothing else`,
    leakFree(() => {
      let kept: Tensor | undefined;
      let other: Tensor | undefined;
      scope(() => {
        other = ones([1]);
        kept = ones([2]);
        return wrap(kept);
      });
      assert.deepEqual([kept!.freed, other!.freed], [false, true]);
    }),
  );
}

test(
  "an object that holds itself can be returned",
  leakFree(() => {
    const ring = scope(() => {
      const made: { self?: unknown; t: Tensor } = { t: ones([1]) };
      made.self = made;
      return made;
    });
    assert.equal(ring.t.freed, false);
  }),
);

test(
  "an exception frees the scope's tensors and leaves the outer scope in charge",
  counted(() => {
    let inside: Tensor | undefined;
    let after: Tensor | undefined;
    scope(() => {
      assert.throws(
        () =>
          scope(() => {
            inside = ones([2]);
            throw new Error("stop");
          }),
        /stop/,
      );
      assert.equal(inside!.freed, true);
      after = ones([1]);
    });
    assert.equal(after!.freed, true);
  }),
);

test(
  "a promise cannot be returned from a scope, and its tensors are freed",
  counted(() => {
    let made: Tensor | undefined;
    const asynchronous = () =>
      scope(() => {
        made = ones([2]);
        return Promise.resolve(made);
      });
    assert.throws(asynchronous, /^TypeError: scope: .*promise/);
    assert.equal(made!.freed, true);
  }),
);

test(
  "keep takes a tensor out of its scope",
  counted(() => {
    const kept = scope(() => {
      const tensor = keep(ones([2]));
      return () => tensor;
    })();
    assert.deepEqual(kept.toNumbers(), [1, 1]);
    kept.dispose();
  }),
);

test(
  "a parameter outlives the scope it was made in",
  counted(() => {
    let made: Parameter | undefined;
    scope(() => {
      made = new Parameter(ones([2]));
    });
    assert.equal(made!.requiresGrad, true);
    made!.dispose();
  }),
);

test(
  "using frees at the end of the block, and a second dispose does nothing",
  counted(() => {
    let seen: Tensor;
    {
      using held = zeros([4]);
      seen = held;
    }
    assert.equal(seen.freed, true);
    const before = liveTensors();
    seen.dispose();
    assert.equal(liveTensors(), before);
  }),
);

test(
  "a tensor disposed inside its scope is not freed again at the end",
  counted(() => {
    scope(() => {
      const first = ones([1]);
      first.dispose();
      // Takes over the slot that was freed: freeing `first` once more would free this one.
      const second = keep(ones([1]));
      return () => second;
    })().dispose();
  }),
);

test(
  "a freed tensor throws in every use, and the message names the operation",
  leakFree(() => {
    const freed = ones([2]);
    freed.dispose();
    assert.throws(() => freed.shape, /^Error: shape: .*freed/);
    assert.throws(() => freed.item(), /^Error: item: .*freed/);
    assert.throws(() => freed.toArray(), /freed/);
    assert.throws(() => freed.add(1), /^Error: aten::add\.Scalar: .*freed/);
    assert.throws(() => aten.cat.default([ones([2]), freed], 0), /^Error: aten::cat: .*freed/);
    assert.throws(
      () => aten.convolution.default(ones([1]), freed, null, [1], [0], [1], false, [0], 1),
      /aten::convolution: .*freed/,
    );
  }),
);

test(
  "exchange swaps what two handles stand for, and each is still freed by its own owner",
  counted(() => {
    const outer = keep(scalar(1));
    scope(() => {
      const inner = scalar(2);
      exchange(outer, inner);
      assert.deepEqual([outer.item(), inner.item()], [2, 1]);
    });
    assert.equal(outer.item(), 2);
    outer.dispose();
  }),
);

test(
  "exchanging a parameter twice brings back its own tensor",
  leakFree(() => {
    using parameter = new Parameter(scalar(1));
    const other = scalar(5);
    exchange(parameter, other);
    exchange(parameter, other);
    assert.equal(parameter.item(), 1);
    assert.equal(parameter.requiresGrad, true);
  }),
);
