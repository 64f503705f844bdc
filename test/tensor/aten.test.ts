// Operators called by name: how arguments and results travel, and what a mistake says.
import assert from "node:assert/strict";
import { test } from "node:test";
import { aten } from "../../src/tensor/aten.ts";
import { ones, randn, scalar, type Tensor, tensor, zeros } from "../../src/tensor/tensor.ts";
import { assertClose } from "../support/assert-close.ts";
import { leakFree } from "../support/leak-free.ts";

/** A call that TypeScript would not allow. */
const untyped = (operator: unknown) => operator as (...args: unknown[]) => unknown;

test(
  "arguments left out take the schema's default",
  leakFree(() => {
    assertClose(aten.add.Tensor(ones([2]), ones([2])), [2, 2], 0, "alpha = 1");
    assertClose(aten.add.Tensor(ones([2]), ones([2]), 3), [4, 4], 0, "alpha = 3");
    assert.deepEqual(aten.sum.dim_IntList(ones([2, 3]), [1]).shape, [2]);
    assert.deepEqual(aten.sum.dim_IntList(ones([2, 3]), [1], true).shape, [2, 1]);
  }),
);

test(
  "undefined in the middle of the arguments takes the default too",
  leakFree(() => {
    const [values] = aten.topk.default(tensor([1, 3, 2], [3]), 2, undefined, false);
    assertClose(values, [1, 2], 0, "the smallest two");
  }),
);

test(
  "null stands for an optional tensor or number that is not given",
  leakFree(() => {
    const x = tensor([1, 2, 3, 4], [1, 1, 2, 2]);
    const y = aten.convolution.default(x, ones([1, 1, 1, 1]), null, [1, 1], [0, 0], [1, 1], false, [0, 0], 1);
    assertClose(y, x, 0, "convolution without bias");
    assertClose(aten.slice.Tensor(x, 2, null, null, 2), [1, 2], 0, "every second row");
    assertClose(aten.clamp.default(x, null, 2), [1, 2, 2, 2], 0, "only an upper bound");
  }),
);

test(
  "lists of tensors, of integers and single integers for fixed sizes are understood",
  leakFree(() => {
    assert.deepEqual(aten.cat.default([ones([1, 2]), zeros([3, 2])], 0).shape, [4, 2]);
    assert.deepEqual(aten.permute.default(zeros([2, 3, 4]), [2, 0, 1]).shape, [4, 2, 3]);
    assert.deepEqual(aten.max_pool2d.default(zeros([1, 1, 4, 4]), 2, 2).shape, [1, 1, 2, 2]);
    assert.deepEqual(aten.max_pool2d.default(zeros([1, 1, 4, 4]), [2, 1], [2, 1]).shape, [1, 1, 2, 4]);
    const picked = aten.index.Tensor(tensor([1, 2, 3, 4], [2, 2]), [
      null,
      tensor([1], [1], { dtype: "int64" }),
    ]);
    assertClose(picked, [2, 4], 0, "the second column");
  }),
);

test(
  "several results come as an array, a list of tensors as tensors",
  leakFree(() => {
    const [values, indices] = aten.max.dim(tensor([1, 5, 4, 2], [2, 2]), 1);
    assertClose(values, [5, 4], 0, "largest of each row");
    assert.deepEqual(indices.toNumbers(), [1, 0]);
    assert.deepEqual(
      aten.split.Tensor(zeros([5]), 2).map((part: Tensor) => part.shape),
      [[2], [2], [1]],
    );
  }),
);

test(
  "results that are no tensors come as plain values",
  leakFree(() => {
    assert.equal(aten.equal.default(ones([2]), ones([2])), true);
    assert.equal(aten.equal.default(ones([2]), zeros([2])), false);
    assert.equal(aten.size.int(zeros([2, 7]), 1), 7);
  }),
);

test(
  "whole numbers stay integers, so integer tensors stay integer",
  leakFree(() => {
    const counts = tensor([1, 2], [2], { dtype: "int64" });
    assert.equal(counts.add(1).dtype, "int64");
    assert.equal(counts.add(0.5).dtype, "float32");
    assert.equal(aten.eq.Scalar(counts, 2).dtype, "bool");
  }),
);

test(
  "dtypes, memory formats and devices are given by name",
  leakFree(() => {
    assert.equal(aten.zeros.default([2], "int32", null, "cpu").dtype, "int32");
    const x = randn([2, 3, 4, 5]);
    assert.deepEqual(aten.stride.int(aten.contiguous.default(x, "channels_last"), 1), 1);
    assertClose(aten.contiguous.default(x, "channels_last"), x, 0, "the same values in the same order");
  }),
);

test(
  "in-place operators change the tensor itself",
  leakFree(() => {
    const x = ones([2]);
    aten.add_.Scalar(x, 2);
    assertClose(x, [3, 3], 0, "in place");
  }),
);

const mistakes: [string, () => unknown, RegExp[]][] = [
  [
    "shapes that do not fit",
    () => zeros([2, 3]).add(zeros([4])),
    [/^Error: aten::add\.Tensor/, /\[2, 3\]/, /\[4\]/, /must match the size/],
  ],
  [
    "a product of unfit matrices",
    () => zeros([2, 3]).matmul(zeros([2, 3])),
    [/aten::matmul/, /\[2, 3\] Float/, /cannot be multiplied/],
  ],
  [
    "a string for a tensor",
    () => untyped(aten.add.Tensor)(zeros([2]), "x"),
    [/^TypeError: aten::add\.Tensor: argument 'other' \(Tensor\)/],
  ],
  [
    "a missing argument",
    () => untyped(aten.add.Tensor)(zeros([2])),
    [/^TypeError: aten::add\.Tensor: argument 'other' .*missing/],
  ],
  [
    "a fraction for an integer",
    () => aten.topk.default(zeros([3]), 1.5),
    [/^TypeError: aten::topk: argument 'k' \(int\): expected an integer, got 1\.5/],
  ],
  [
    "a number for a list",
    () => untyped(aten.permute.default)(zeros([3]), 0),
    [/^TypeError: aten::permute: argument 'dims'/],
  ],
  [
    "an unknown dtype",
    () => untyped(aten.zeros.default)([2], "float31"),
    [/^TypeError: aten::zeros: argument 'dtype'.*unknown dtype 'float31'/],
  ],
  [
    "an unknown operator",
    () => (aten as unknown as Record<string, Record<string, () => void>>).nope!.default!(),
    [/TypeError: .*no operator aten::nope/],
  ],
  [
    "too many arguments",
    () => untyped(aten.convolution.default)(...Array(12).fill(null)),
    [/^TypeError: aten::convolution: got 12 arguments, it takes 9/],
  ],
  [
    "too few elements for a shape",
    () => tensor([1, 2, 3], [2]),
    [/^TypeError: create: got 12 bytes for \[2\] Float, expected 8/],
  ],
  ["the item of two elements", () => zeros([2]).item(), [/^Error: item: /]],
];
for (const [name, call, patterns] of mistakes) {
  test(
    `${name} throws, saying what and where in one line`,
    leakFree(() => {
      assert.throws(call, (error: Error) => {
        for (const pattern of patterns) assert.match(String(error), pattern);
        assert.doesNotMatch(error.message, /\n|Exception raised from/);
        return true;
      });
    }),
  );
}

test(
  "an operator that threw can be called again",
  leakFree(() => {
    assert.throws(() => zeros([2]).add(zeros([3])));
    assert.equal(scalar(1).add(scalar(2)).item(), 3);
  }),
);
