import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32, deflateSync } from "node:zlib";
import { encode as encodePng } from "fast-png";
import { encode as encodeJpeg } from "jpeg-js";
import { decodeImage } from "../../src/data/decode-image.ts";

const png = (channels: number, data: number[], depth: 8 | 16 = 8) =>
  encodePng({
    width: data.length / channels,
    height: 1,
    channels,
    depth,
    data: depth === 16 ? Uint16Array.from(data) : Uint8Array.from(data),
  });

/** A PNG of any colour type, its rows given as they are stored. */
function rawPng(
  header: { width: number; depth: number; colorType: number },
  rows: number[][],
  chunks: [string, number[]][] = [],
) {
  const chunk = (type: string, data: Uint8Array) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const frame = Buffer.alloc(8);
    frame.writeUInt32BE(data.length, 0);
    frame.writeUInt32BE(crc32(body), 4);
    return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
  };
  const start = Buffer.alloc(13);
  start.writeUInt32BE(header.width, 0);
  start.writeUInt32BE(rows.length, 4);
  start[8] = header.depth;
  start[9] = header.colorType;
  return Buffer.concat([
    Buffer.from("89504e470d0a1a0a", "hex"),
    chunk("IHDR", start),
    ...chunks.map(([type, data]) => chunk(type, Uint8Array.from(data))),
    chunk("IDAT", deflateSync(Uint8Array.from(rows.flatMap((row) => [0, ...row])))),
    chunk("IEND", new Uint8Array()),
  ]);
}

function pixels(bytes: Uint8Array) {
  const { channels, data } = decodeImage(bytes, "x");
  return { channels, data: [...data] };
}

test("grey and RGB PNG keep their bytes, alpha is dropped, 16 bits keep the high half", () => {
  assert.deepEqual(pixels(png(1, [1, 2, 3])), { channels: 1, data: [1, 2, 3] });
  assert.deepEqual(pixels(png(3, [1, 2, 3, 4, 5, 6])), { channels: 3, data: [1, 2, 3, 4, 5, 6] });
  assert.deepEqual(pixels(png(2, [1, 255, 2, 0])), { channels: 1, data: [1, 2] });
  assert.deepEqual(pixels(png(4, [1, 2, 3, 0, 4, 5, 6, 255])), { channels: 3, data: [1, 2, 3, 4, 5, 6] });
  assert.deepEqual(pixels(png(1, [0, 255, 256, 65535], 16)), { channels: 1, data: [0, 0, 1, 255] });
});

test("grey of few bits spans 0…255, each row starting at a whole byte", () => {
  const header = { width: 3, colorType: 0 };
  assert.deepEqual(
    pixels(rawPng({ ...header, depth: 1 }, [[0b10100000], [0b01000000]])).data,
    [255, 0, 255, 0, 255, 0],
  );
  assert.deepEqual(
    pixels(rawPng({ ...header, depth: 2 }, [[0b00011000], [0b11100100]])).data,
    [0, 85, 170, 255, 170, 85],
  );
  assert.deepEqual(pixels(rawPng({ ...header, depth: 4 }, [[0x0f, 0x10]])).data, [0, 255, 17]);
});

test("a palette becomes RGB, with or without transparency", () => {
  const palette: [string, number[]] = ["PLTE", [10, 20, 30, 40, 50, 60]];
  const header = { width: 2, depth: 8, colorType: 3 };
  const wanted = { channels: 3, data: [40, 50, 60, 10, 20, 30] };
  assert.deepEqual(pixels(rawPng(header, [[1, 0]], [palette])), wanted);
  assert.deepEqual(pixels(rawPng(header, [[1, 0]], [palette, ["tRNS", [0]]])), wanted);
  assert.deepEqual(pixels(rawPng({ ...header, depth: 1 }, [[0b10000000]], [palette])), wanted);
});

const rgba = Uint8Array.from({ length: 16 * 16 * 4 }, (_, i) => [200, 100, 50, 255][i & 3]);
const jpeg = encodeJpeg({ width: 16, height: 16, data: rgba }, 95).data;

test("a JPEG comes back in RGB, near what was stored", () => {
  const { width, height, channels, data } = decodeImage(jpeg, "x");
  assert.deepEqual([width, height, channels, data.length], [16, 16, 3, 768]);
  for (let i = 0; i < 768; i++) assert.ok(Math.abs(data[i] - [200, 100, 50][i % 3]) < 4);
});

test("a grey JPEG has one channel", () => {
  // 8×8, one component, made by hand: Huffman tables of one code each, all coefficients zero.
  const grey = Buffer.from(
    `ffd8ffdb004300${"01".repeat(64)}ffc0000b080008000801011100` +
      "ffc40014000100000000000000000000000000000000ffc40014100100000000000000000000000000000000" +
      "ffda0008010100003f003fffd9",
    "hex",
  );
  const { width, height, channels, data } = decodeImage(grey, "x");
  assert.deepEqual([width, height, channels], [8, 8, 1]);
  assert.ok(data.every((value) => value === 128));
});

test("a damaged, cut or foreign file is named", () => {
  const whole = png(
    1,
    Array.from({ length: 100 }, (_, i) => i),
  );
  const damaged = Uint8Array.from(whole);
  damaged[50] ^= 0xff;
  const refuses = (bytes: Uint8Array, message: RegExp) =>
    assert.throws(() => decodeImage(bytes, "a/b.png"), { name: "UserError", message });
  refuses(damaged, /a\/b\.png cannot be read/);
  refuses(whole.subarray(0, 60), /a\/b\.png cannot be read/);
  refuses(jpeg.subarray(0, jpeg.length - 30), /a\/b\.png cannot be read \(the file is cut/);
  refuses(jpeg.subarray(0, 20), /the file is cut/);
  refuses(Buffer.from("GIF89a"), /a\/b\.png is neither a PNG nor a JPEG/);
  refuses(new Uint8Array(), /neither a PNG nor a JPEG/);
});
