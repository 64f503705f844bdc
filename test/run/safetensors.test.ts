// Safetensors: what is written reads back, byte for byte and in order, and no damaged header is believed.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import { UserError } from "../../src/errors.ts";
import {
  type Dtype,
  decodeSafetensors,
  encodeSafetensors,
  loadSafetensors,
  saveSafetensors,
  type TensorData,
} from "../../src/run/safetensors.ts";
import { DTYPE_BYTES } from "../../src/run/safetensors-header.ts";

const folder = mkdtempSync(join(tmpdir(), "darts-safetensors-"));
after(() => rmSync(folder, { recursive: true }));

const tensor = fc
  .record({
    dtype: fc.constantFrom(...(Object.keys(DTYPE_BYTES) as Dtype[])),
    shape: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 }),
  })
  .chain(({ dtype, shape }) => {
    const length = shape.reduce((product, size) => product * size, DTYPE_BYTES[dtype]);
    return fc
      .uint8Array({ minLength: length, maxLength: length })
      .map((data): TensorData => ({ dtype, shape, data }));
  });
const name = fc.oneof(
  fc.string({ unit: "grapheme", maxLength: 12 }),
  fc.constantFrom("0", "10", "2", "__proto__", "constructor", "", 'a"b\\{', "stem.0.weight"),
);
const tensors = fc.array(fc.tuple(name, tensor), { maxLength: 8 }).map((pairs) => new Map(pairs));
const metadata = fc.dictionary(fc.string(), fc.string(), { maxKeys: 3 });

/** A file with that header text and so many bytes of data. */
function file(header: string | object, dataBytes = 0): Uint8Array {
  const text = Buffer.from(typeof header === "string" ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, Buffer.alloc(dataBytes)]);
}

test("any tensors and metadata read back equal, in the same order", () => {
  fc.assert(
    fc.property(tensors, metadata, (written, texts) => {
      const read = decodeSafetensors(encodeSafetensors(written, texts));
      assert.deepEqual([...read.tensors.keys()], [...written.keys()]);
      for (const [key, { dtype, shape, data }] of written) {
        const got = read.tensors.get(key)!;
        assert.deepEqual([got.dtype, got.shape, [...got.data]], [dtype, shape, [...data]]);
        assert.equal(got.data.byteOffset % 8, 0, "a typed array of any width fits over the data");
      }
      assert.deepEqual(Object.entries(read.metadata), Object.entries(texts));
    }),
  );
});

test("every tensor begins at a multiple of its element size, and the data at a multiple of 8", () => {
  fc.assert(
    fc.property(tensors, (written) => {
      const bytes = Buffer.from(encodeSafetensors(written));
      const length = Number(bytes.readBigUInt64LE());
      assert.equal(length % 8, 0);
      const header = JSON.parse(bytes.toString("utf8", 8, 8 + length)) as Record<
        string,
        { data_offsets: number[] }
      >;
      for (const [key, { dtype }] of written)
        assert.equal(header[key]!.data_offsets[0]! % DTYPE_BYTES[dtype], 0);
    }),
  );
});

test("the bytes are those of the format's description", () => {
  const data = new Uint8Array(new Float32Array([1, -2]).buffer);
  const bytes = encodeSafetensors(new Map([["w", { dtype: "F32", shape: [2], data }]]), { step: "3" });
  const header = '{"__metadata__":{"step":"3"},"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}';
  const padded = header.padEnd(Math.ceil(header.length / 8) * 8);
  assert.equal(Buffer.from(bytes).toString("hex"), Buffer.concat([file(padded), data]).toString("hex"));
});

test("any single changed or missing byte of the length and header gives a UserError or a valid reading", () => {
  const whole = encodeSafetensors(
    new Map<string, TensorData>([
      ["a.weight", { dtype: "F32", shape: [2, 2], data: new Uint8Array(16) }],
      ["b", { dtype: "BOOL", shape: [3], data: new Uint8Array(3) }],
    ]),
  );
  const headerEnd = 8 + Number(new DataView(whole.buffer, whole.byteOffset).getBigUint64(0, true));
  const survives = (bytes: Uint8Array) => {
    try {
      for (const { data } of decodeSafetensors(bytes).tensors.values()) assert.ok(data.length <= 19);
    } catch (error) {
      assert.ok(error instanceof UserError, String(error));
    }
  };
  fc.assert(
    fc.property(fc.nat(headerEnd - 1), fc.nat(255), (at, value) => {
      const damaged = new Uint8Array(whole);
      damaged[at] = value;
      survives(damaged);
    }),
    { numRuns: 2000 },
  );
  for (let length = 0; length < whole.length; length++) {
    assert.throws(() => decodeSafetensors(whole.subarray(0, length)), UserError, `cut to ${length} bytes`);
  }
});

const entry = { dtype: "F32", shape: [2], data_offsets: [0, 8] };
const DAMAGED: readonly (readonly [what: string, bytes: Uint8Array, message: RegExp])[] = [
  ["too short", new Uint8Array(7), /not a safetensors file: 7 bytes/],
  ["with a giant header", new Uint8Array(16).fill(255), /announces a header of \d+ bytes/],
  [
    "cut within the header",
    file({ a: entry }, 8).subarray(0, 20),
    /cut off: a header of \d+ bytes announced, 12/,
  ],
  ["whose header is no JSON", file("{a"), /the header is not JSON/],
  ["whose header is a list", file("[]"), /the header is not a JSON object/],
  [
    "whose header is not UTF-8",
    Buffer.concat([file("{}").subarray(0, 8), Buffer.from([0xff, 0xfe])]),
    /not UTF-8/,
  ],
  [
    "with a name twice",
    file('{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":1}'),
    /"a" stands twice/,
  ],
  [
    "with a field twice",
    file('{"a":{"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0]}}'),
    /"dtype" stands/,
  ],
  ["with an escaped name twice", file('{"a":1,"\\u0061":1}'), /"a" stands twice/],
  [
    "with an unknown type",
    file({ a: { ...entry, dtype: "C64" } }, 8),
    /tensor "a": unknown dtype "C64"; known are F64/,
  ],
  ["with an inherited type", file({ a: { ...entry, dtype: "toString" } }, 8), /unknown dtype/],
  [
    "with a negative size",
    file({ a: { ...entry, shape: [-2] } }, 8),
    /shape \[-2\] is not a list of whole numbers/,
  ],
  ["with backward offsets", file({ a: { ...entry, data_offsets: [8, 0] } }, 8), /not a pair \[begin, end\]/],
  [
    "with the wrong byte count",
    file({ a: { ...entry, shape: [3] } }, 8),
    /F32 of shape \[3\] takes 12 bytes, but .* 8/,
  ],
  [
    "with an overflowing shape",
    file({ a: { ...entry, shape: [2 ** 40, 2 ** 40] } }, 8),
    /takes .* bytes, but/,
  ],
  ["with an unknown field", file({ a: { ...entry, size: 1 } }, 8), /unknown field "size"/],
  ["with an entry that is no object", file({ a: 3 }), /its entry is not an object/],
  [
    "that overlaps",
    file({ a: entry, b: { ...entry, data_offsets: [4, 12] } }, 12),
    /"b" begins at byte 4, inside/,
  ],
  [
    "with a gap",
    file({ a: entry, b: { ...entry, data_offsets: [12, 20] } }, 20),
    /leaving a gap after byte 8/,
  ],
  ["cut within the data", file({ a: entry }, 7), /ends at byte 8, but the file holds 7 bytes of data/],
  ["with bytes left over", file({ a: entry }, 9), /1 bytes at the end of the file belong to no tensor/],
  ["with numbers as metadata", file({ __metadata__: { a: 1 } }), /__metadata__ is not an object of texts/],
];

for (const [what, bytes, message] of DAMAGED) {
  test(`a file ${what} is refused with a sentence`, () => {
    assert.throws(
      () => decodeSafetensors(bytes, "weights.safetensors"),
      (error) => {
        assert.ok(error instanceof UserError);
        assert.match(error.message, message);
        return error.message.startsWith("weights.safetensors: ");
      },
    );
  });
}

test("a file holds the encoded bytes, and an error in it names it", () => {
  const path = join(folder, "weights.safetensors");
  const written = new Map<string, TensorData>([
    ["x", { dtype: "I64", shape: [], data: new Uint8Array(8).fill(7) }],
  ]);
  saveSafetensors(path, written);
  assert.deepEqual(readFileSync(path), Buffer.from(encodeSafetensors(written)));
  assert.deepEqual(loadSafetensors(path).tensors, written);
  writeFileSync(path, "no");
  assert.throws(() => loadSafetensors(path), {
    name: "UserError",
    message: /weights\.safetensors: not a safetensors/,
  });
  assert.throws(() => loadSafetensors(join(folder, "none")), {
    name: "UserError",
    message: /expected a safetensors/,
  });
});

test("a tensor whose bytes do not fit its shape is not written", () => {
  const wrong = new Map<string, TensorData>([["x", { dtype: "F32", shape: [2], data: new Uint8Array(4) }]]);
  assert.throws(() => encodeSafetensors(wrong), /x: F32 of \[2\] takes 8 bytes, got 4/);
});
