// Making tensors and reading them back, arithmetic, and what libtorch keeps for the process.
import assert from "node:assert/strict";
import { test } from "node:test";
import { UserError } from "../../src/errors.ts";
import { aten } from "../../src/tensor/aten.ts";
import {
  checkDevice,
  devices,
  generatorState,
  seed,
  setGeneratorState,
  setThreads,
} from "../../src/tensor/runtime.ts";
import { type DType, fromBytes, full, ones, randn, scalar, tensor, zeros } from "../../src/tensor/tensor.ts";
import { assertClose } from "../support/assert-close.ts";
import { counted, leakFree } from "../support/leak-free.ts";

const values: [DType, number[]][] = [
  ["float32", [0, -1.5, 3.25, 2 ** 100]],
  ["float64", [0, -1.1, Math.PI, 1e300]],
  ["int64", [0, -1, 2 ** 40, -(2 ** 50)]],
  ["int32", [0, -1, 2 ** 30]],
  ["int16", [0, -1, 32767]],
  ["int8", [0, -128, 127]],
  ["uint8", [0, 1, 255]],
  ["bool", [0, 1, 1]],
  ["bfloat16", [0, -1.5, 256]],
  ["float16", [0, -1.5, 2048]],
];
for (const [dtype, numbers] of values) {
  test(
    `${dtype} numbers come back as they went in`,
    leakFree(() => {
      const made = tensor(numbers, [numbers.length], { dtype });
      assert.equal(made.dtype, dtype);
      assert.deepEqual(made.toNumbers(), numbers);
    }),
  );
}

test(
  "fromBytes takes an array's bytes as they are, NaN and infinities included",
  leakFree(() => {
    const odd = new Float64Array([Number.NaN, Number.NEGATIVE_INFINITY, -0]);
    const back = fromBytes(odd, [3], { dtype: "float64" }).toArray();
    assert.deepEqual(Buffer.from(back.buffer), Buffer.from(odd.buffer));
  }),
);

test(
  "a view of a larger array gives only its own elements",
  leakFree(() => {
    const part = new Float32Array([1, 2, 3, 4]).subarray(1, 3);
    assert.deepEqual(fromBytes(part, [2]).toNumbers(), [2, 3]);
  }),
);

test(
  "scalars, empty tensors and matrices have the shapes they were given",
  leakFree(() => {
    assert.deepEqual(scalar(3).shape, []);
    assert.equal(scalar(3).numel, 1);
    assert.deepEqual(zeros([0, 4]).toNumbers(), []);
    assert.deepEqual(tensor([1, 2, 3, 4, 5, 6], [2, 3]).toRows(), [
      [1, 2, 3],
      [4, 5, 6],
    ]);
    assert.deepEqual(full([2], 7, { dtype: "int32" }).toNumbers(), [7, 7]);
  }),
);

test(
  "elements are read in row-major order whatever the layout in memory",
  leakFree(() => {
    const transposed = aten.transpose.int(tensor([1, 2, 3, 4, 5, 6], [2, 3]), 0, 1);
    assert.deepEqual(transposed.toNumbers(), [1, 4, 2, 5, 3, 6]);
  }),
);

test(
  "arithmetic accepts numbers and broadcasts tensors",
  leakFree(() => {
    const x = tensor([1, 2, 3, 4], [2, 2]);
    assertClose(
      x
        .add(1)
        .sub(tensor([1, 0], [2]))
        .mul(2)
        .div(x),
      [2, 3, 2, 2.5],
      1e-6,
      "(x + 1 − r)·2 / x",
    );
    assertClose(x.matmul(x), [7, 10, 15, 22], 0, "x·x");
    assertClose(x.neg().sum(), -10, 0, "−Σx");
    assertClose(x.softmax(1).sum(), 2, 1e-6, "rows of a softmax");
    assertClose(x.logSoftmax(1), [-1.3132616, -0.3132616, -1.3132616, -0.3132616], 1e-6, "log softmax");
  }),
);

test(
  "the same seed gives the very numbers that PyTorch draws",
  leakFree(() => {
    // torch.manual_seed(0); torch.randn(5)
    const few = [
      1.5409960746765137, -0.293428897857666, -2.1787893772125244, 0.5684312582015991, -1.0845223665237427,
    ];
    // torch.manual_seed(0); torch.randn(17)[-3:]: from 16 numbers on, libtorch draws in blocks.
    const block = [0.946298360824585, -0.843676745891571, 0.9318265914916992];
    seed(0);
    assertClose(randn([5]), few, 1e-6, "randn(5)");
    seed(0);
    assertClose(randn([17]).toNumbers().slice(-3), block, 1e-6, "the end of randn(17)");
  }),
);

test(
  "a generator continues from its saved state to the same bytes",
  leakFree(() => {
    seed(7);
    randn([3]);
    const state = generatorState();
    const drawn = randn([100]).toNumbers();
    const dropped = aten.bernoulli_.float(zeros([50]), 0.5).toNumbers();
    setGeneratorState(state);
    assert.deepEqual(randn([100]).toNumbers(), drawn);
    assert.deepEqual(aten.bernoulli_.float(zeros([50]), 0.5).toNumbers(), dropped);
  }),
);

test(
  "a state that is none is refused",
  leakFree(() => {
    assert.throws(() => setGeneratorState(new Uint8Array([1, 2, 3])));
  }),
);

test(
  "the number of threads is what was asked for",
  counted(() => {
    assert.equal(setThreads(2), 2);
    assert.equal(setThreads(1), 1);
  }),
);

test(
  "the processor is always a device, and an unknown device is the user's mistake",
  counted(() => {
    assert.ok(devices().includes("cpu"));
    assert.equal(checkDevice("cpu"), "cpu");
    assert.throws(
      () => checkDevice("tpu"),
      (error) => error instanceof UserError && /'tpu'.*cpu/.test(error.message),
    );
  }),
);

test(
  "tensors know their device and go to another type by name",
  leakFree(() => {
    const x = ones([2]).to({ dtype: "float64" });
    assert.deepEqual([x.device, x.dtype], ["cpu", "float64"]);
  }),
);
