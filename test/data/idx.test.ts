import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { AS_THEY_ARE, type DataOptions } from "../../src/data/entry.ts";
import { parseIdx, readIdxFolder } from "../../src/data/idx.ts";
import { idxEntry, MNIST } from "../../src/data/mnist.ts";
import { channelStatistics } from "../../src/data/statistics.ts";
import { idxFile, idxFiles, randomSet, temporaryFolder, writeFiles } from "./fixtures.ts";

const shape = { channels: 1, side: 5, classes: 3 };

test("any array of bytes comes back from its IDX file", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(5), { minLength: 1, maxLength: 4 }), (lengths) => {
      const size = lengths.reduce((product, length) => product * length, 1);
      const data = Uint8Array.from({ length: size }, (_, i) => (i * 37) % 256);
      assert.deepEqual(parseIdx(idxFile(lengths, data), "x"), { shape: lengths, data });
    }),
  );
});

test("a file that is no IDX file of bytes says what it is", () => {
  const file = idxFile([2, 3], new Uint8Array(6));
  assert.throws(() => parseIdx(Buffer.from("hello world"), "x"), /x is no IDX file/);
  assert.throws(() => parseIdx(new Uint8Array(2), "x"), /x is no IDX file/);
  assert.throws(() => parseIdx(file.subarray(0, 15), "x"), /x has 15 bytes, but its header \(2×3\) says 18/);
  const floats = Buffer.from(file);
  floats[2] = 0x0d;
  assert.throws(() => parseIdx(floats, "x"), /type 0xd, expected unsigned bytes/);
});

test("plain, compressed and dotted file names are found", (context) => {
  const [train, tested] = [randomSet(1, shape), randomSet(2, shape)];
  const spellings = [
    (name: string) => name,
    (name: string) => `${name}.gz`,
    (name: string) => name.replace("-idx", ".idx"),
  ];
  for (const spell of spellings) {
    const folder = temporaryFolder(context);
    const files = Array.from(idxFiles(train, tested), ([name, bytes]): [string, Uint8Array] => [
      spell(name),
      spell(name).endsWith(".gz") ? gzipSync(bytes) : bytes,
    ]);
    writeFiles(folder, new Map(files));
    assert.deepEqual(readIdxFolder(folder), { train, test: tested });
  }
});

test("a missing, cut or mismatched file is named", (context) => {
  const files = () => idxFiles(randomSet(1, shape), randomSet(2, shape));
  const refuses = (changed: Map<string, Uint8Array>, message: RegExp) => {
    const folder = temporaryFolder(context);
    writeFiles(folder, changed);
    assert.throws(() => readIdxFolder(folder), { name: "UserError", message });
  };
  const without = files();
  without.delete("t10k-labels-idx1-ubyte");
  refuses(without, /holds no t10k-labels-idx1-ubyte/);
  const cut = files();
  const gzip = gzipSync(cut.get("train-images-idx3-ubyte") ?? "");
  cut.delete("train-images-idx3-ubyte");
  refuses(cut.set("train-images-idx3-ubyte.gz", gzip.subarray(0, 200)), /not a whole \.gz file/);
  refuses(
    files().set("train-labels-idx1-ubyte", idxFile([3], new Uint8Array(3))),
    /is 20×5×5 .* is 3; expected/,
  );
});

test("a data set in the form of MNIST keeps its own size, classes and statistics", async (context) => {
  const [train, tested] = [randomSet(1, shape), randomSet(2, shape)];
  const path = temporaryFolder(context);
  writeFiles(path, idxFiles(train, tested));
  const options: DataOptions = { path, ...AS_THEY_ARE, cache: path, report: () => {} };
  const dataset = await idxEntry(MNIST).load(options);
  assert.deepEqual(dataset.train, train);
  assert.deepEqual(dataset.classes, ["0", "1", "2"]);
  assert.deepEqual({ mean: dataset.mean, std: dataset.std }, channelStatistics(train));
  await assert.rejects(idxEntry(MNIST).load({ ...options, path: `${path}/none` }), /is no folder/);
});
