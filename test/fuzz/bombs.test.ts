// Inputs made to exhaust memory or time, one for each way that the formats offer: refused with a sentence, at once.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { deflateSync, gzipSync } from "node:zlib";
import { encode as encodeJpeg } from "jpeg-js";
import { Header } from "tar";
import { resolveConfig } from "../../src/config/load.ts";
import { readTarball } from "../../src/data/archive.ts";
import { decodeImage } from "../../src/data/decode-image.ts";
import { parseIdx, unpackIdx } from "../../src/data/idx.ts";
import { readPickle } from "../../src/data/pickle.ts";
import { UserError } from "../../src/errors.ts";
import { parseGenotype } from "../../src/genotype/parse.ts";
import { decodeSafetensors } from "../../src/run/safetensors.ts";
import { idxFile } from "../data/fixtures.ts";
import { withChecksums } from "./png-checksums.ts";

const folder = mkdtempSync(join(tmpdir(), "darts-bombs-"));
after(() => rmSync(folder, { recursive: true }));

/** A hundred megabytes of zeros, packed into a hundred kilobytes. */
const packed = deflateSync(new Uint8Array(100_000_000));

function png(
  width: number,
  height: number,
  chunks: readonly (readonly [type: string, content: Uint8Array])[],
): Uint8Array {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header[8] = 8;
  const all: (readonly [string, Uint8Array])[] = [["IHDR", header], ...chunks, ["IEND", new Uint8Array()]];
  const framed = all.map(([type, content]) => {
    const frame = Buffer.alloc(8);
    frame.writeUInt32BE(content.length, 0);
    return Buffer.concat([frame.subarray(0, 4), Buffer.from(type), content, frame.subarray(4)]);
  });
  return withChecksums(Buffer.concat([Buffer.from("89504e470d0a1a0a", "hex"), ...framed]));
}

/** A tarball whose one file announces `size` bytes and has those of `content`. */
function tarball(name: string, size: number, content: Uint8Array): string {
  const header = Buffer.alloc(512);
  new Header({ path: "data_batch_1.bin", size, mode: 0o644, type: "File", mtime: new Date(0) }).encode(
    header,
    0,
  );
  const path = join(folder, name);
  writeFileSync(path, gzipSync(Buffer.concat([header, content])));
  return path;
}

function config(text: string): unknown {
  const path = join(folder, "config.yaml");
  writeFileSync(path, text);
  return resolveConfig({ file: path });
}

const manyScans = () => {
  const { data } = encodeJpeg({ width: 8, height: 8, data: new Uint8Array(256) }, 50);
  const scan = data.subarray(data.indexOf(Buffer.from("ffda", "hex")), data.length - 2);
  return Buffer.concat([
    data.subarray(0, data.length - 2),
    ...Array(200).fill(scan),
    data.subarray(data.length - 2),
  ]);
};

const huge = Buffer.alloc(16);
huge.writeBigUInt64LE(10_000_000_000_000n);

const BOMBS: readonly (readonly [what: string, read: () => unknown, message: RegExp])[] = [
  [
    "a PNG that announces ten thousand million pixels",
    () => decodeImage(png(100_000, 100_000, [["IDAT", packed]]), "a.png"),
    /announces 100000×100000 pixels, at most 100 million/,
  ],
  [
    "a PNG that unpacks to more than it announces",
    () => decodeImage(png(8, 8, [["IDAT", packed]]), "a.png"),
    /unpacks to more than the \d+ bytes/,
  ],
  [
    "a colour profile that unpacks to more than any has",
    () => decodeImage(png(8, 8, [["iCCP", Buffer.concat([Buffer.from("p\0\0"), packed])]]), "a.png"),
    /unpacks to more than/,
  ],
  ["a JPEG of hundreds of scans", () => decodeImage(manyScans(), "a.jpg"), /more than 100 scans/],
  [
    "a compressed IDX file that goes on after its data",
    () =>
      parseIdx(
        unpackIdx(
          gzipSync(Buffer.concat([idxFile([2, 2], new Uint8Array(4)), new Uint8Array(100_000_000)])),
          "a.gz",
        ),
        "a.gz",
      ),
    /unpacks to more than its header announces/,
  ],
  [
    "a compressed IDX file that announces terabytes",
    () => unpackIdx(gzipSync(idxFile([2 ** 31, 2 ** 13], new Uint8Array(4))), "a.gz"),
    /announces 17592186044428 bytes/,
  ],
  [
    "a tarball that announces terabytes",
    () => readTarball(tarball("huge.tgz", 1e13, new Uint8Array(512)), () => true),
    /more than 4 GiB of files/,
  ],
  [
    "a tarball of zeros",
    () => readTarball(tarball("zeros.tgz", 1e8, new Uint8Array(1e8)), () => true),
    /decompression ratio/,
  ],
  [
    "a safetensors file that announces terabytes",
    () => decodeSafetensors(huge, "a"),
    /announces a header of 10000000000000 bytes/,
  ],
  [
    "a genotype with an endless range",
    () => parseGenotype("Genotype(normal=[], normal_concat=range(0, 99999999999))"),
    /at most 1000 states/,
  ],
  [
    "a genotype nested without end",
    () => parseGenotype(`Genotype(normal=${"[".repeat(100_000)}`),
    /at most 32 brackets within each other/,
  ],
  ["settings nested without end", () => config(`a: ${"{".repeat(500)}`), /nested more than 20 deep/],
  ["settings in a sequence of sequences", () => config("- ".repeat(10_000)), /nested more than 20 deep/],
  ["settings of a million characters", () => config(`a: ${"x".repeat(1_000_001)}`), /has 1000004 characters/],
];

for (const [what, read, message] of BOMBS) {
  test(`${what} is refused at once`, async () => {
    const before = process.memoryUsage();
    const started = performance.now();
    await assert.rejects(
      async () => read(),
      (error) => error instanceof UserError && message.test(error.message),
    );
    assert.ok(performance.now() - started < 10_000, "it took more than ten seconds");
    const growth = (process.memoryUsage().rss - before.rss) / 2 ** 20;
    // The bombs themselves are made within the time and memory that are measured.
    assert.ok(growth < 450, `the process grew by ${growth.toFixed(0)} MB`);
  });
}

test("a pickle whose lists double is read in the memory of one of each, and one that holds itself ends", () => {
  // ( list, then forty times: its own two-tuple with itself.
  const doubling = Buffer.concat([
    Buffer.from("\x80\x02]q\x00", "latin1"),
    ...Array(40).fill(Buffer.from("q\x00h\x00\x86", "latin1")),
  ]);
  let value: unknown = readPickle(Buffer.concat([doubling, Buffer.from(".")]));
  for (let depth = 0; depth < 40; depth++) {
    assert.ok(Array.isArray(value) && value.length === 2 && value[0] === value[1]);
    value = value[0];
  }
  assert.deepEqual(value, []);
  const itself = readPickle(Buffer.from("\x80\x02]q\x00h\x00a.", "latin1"));
  assert.ok(Array.isArray(itself) && itself[0] === itself);
});
