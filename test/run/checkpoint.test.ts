// Checkpoints as files: what goes in comes out bit for bit, and what is none is refused by name.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { loadCheckpoint, loadWeights, saveCheckpoint, saveWeights } from "../../src/run/checkpoint.ts";
import { aten } from "../../src/tensor/aten.ts";
import { randn, tensor } from "../../src/tensor/tensor.ts";
import { leakFree } from "../support/leak-free.ts";

const folder = mkdtempSync(join(tmpdir(), "darts-checkpoint-"));
after(() => rmSync(folder, { recursive: true }));
const file = (name: string) => join(folder, name);

test(
  "tensors of every kind come back bit for bit, also transposed ones, and the state beside them",
  leakFree(() => {
    const matrix = randn([3, 5]);
    const tensors = new Map([
      ["weights/a", matrix],
      ["transposed", aten.transpose.int(matrix, 0, 1)],
      ["images", aten.contiguous.default(randn([2, 3, 4, 4]), "channels_last")],
      ["wide", tensor([0.1, Number.NaN, -0], [3], { dtype: "float64" })],
      ["count", tensor([7], [], { dtype: "int64" })],
      ["generator", tensor([0, 255], [2], { dtype: "uint8" })],
      ["none", randn([0, 4])],
    ]);
    const state = { epoch: 3, rate: 0.1, order: [1, 2 ** 31, -5], method: null };
    saveCheckpoint(file("all.safetensors"), { tensors, state });
    const loaded = loadCheckpoint(file("all.safetensors"));
    assert.deepEqual(loaded.state, state);
    assert.deepEqual([...loaded.tensors.keys()], [...tensors.keys()]);
    for (const [name, { dtype, shape }] of tensors) {
      const found = loaded.tensors.get(name)!;
      assert.deepEqual([found.dtype, found.shape], [dtype, shape], name);
      assert.deepEqual(found.toArray(), tensors.get(name)!.toArray(), name);
    }
  }),
);

test(
  "weights are read from a checkpoint and from a plain file alike",
  leakFree(() => {
    const weight = randn([2, 3]);
    saveCheckpoint(file("run.safetensors"), {
      tensors: new Map([
        ["weights/stem.weight", weight],
        ["optimizer/0.momentum_buffer", randn([2, 3])],
      ]),
      state: {},
    });
    saveWeights(file("plain.safetensors"), new Map([["stem.weight", weight]]));
    for (const name of ["run", "plain"]) {
      const loaded = loadWeights(file(`${name}.safetensors`));
      assert.deepEqual([...loaded.keys()], ["stem.weight"]);
      assert.deepEqual(loaded.get("stem.weight")!.toArray(), weight.toArray());
    }
  }),
);

test(
  "a file that is no checkpoint, is cut off or is not there is refused by name",
  leakFree(() => {
    saveWeights(file("weights.safetensors"), new Map([["a", randn([4])]]));
    const bytes = readFileSync(file("weights.safetensors"));
    writeFileSync(file("cut.safetensors"), bytes.subarray(0, bytes.length - 3));
    const refused: Record<string, RegExp> = {
      "weights.safetensors": /weights\.safetensors is not a checkpoint of this version: its format is pt/,
      "cut.safetensors": /cut\.safetensors/,
      "absent.safetensors": /absent\.safetensors.*there is no such file/,
    };
    for (const [name, message] of Object.entries(refused))
      assert.throws(() => loadCheckpoint(file(name)), { name: "UserError", message });
  }),
);
