// What is fuzzed: every reader of a file or text that a user may bring, with good inputs to start from.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32, deflateSync, gzipSync } from "node:zlib";
import { encode as encodePng } from "fast-png";
import { encode as encodeJpeg } from "jpeg-js";
import { Header } from "tar";
import { formatConfig } from "../../src/config/format.ts";
import { resolveConfig } from "../../src/config/load.ts";
import { readTarball } from "../../src/data/archive.ts";
import { readCifarFiles } from "../../src/data/cifar-files.ts";
import { decodeImage } from "../../src/data/decode-image.ts";
import { parseIdx, unpackIdx } from "../../src/data/idx.ts";
import { readStored, storeDataset } from "../../src/data/stored.ts";
import { formatJson, formatPython, parseGenotype } from "../../src/genotype/parse.ts";
import { findGenotype } from "../../src/genotype/published.ts";
import { openEvents, readEvents } from "../../src/run/events.ts";
import { decodeSafetensors, encodeSafetensors } from "../../src/run/safetensors.ts";
import { cifarFiles, idxFile, randomSet } from "../data/fixtures.ts";
import { toyDataset } from "../support/toy-problem.ts";
import { withChecksums } from "./png-checksums.ts";

/** One reader under test. */
export interface Target {
  readonly name: string;
  readonly seeds: readonly Uint8Array[];
  /** Reads an input; may throw only a UserError. */
  read(input: Uint8Array): unknown;
}

/** Every target; files they need lie below `folder`. */
export function targets(folder: string): Target[] {
  return [...texts(folder), ...tensors(), ...images(), ...datasets(folder)];
}

/** A folder for the files of the targets, and its removal. */
export function fuzzFolder(): { folder: string; remove: () => void } {
  const folder = mkdtempSync(join(tmpdir(), "darts-fuzz-"));
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

function texts(folder: string): Target[] {
  const cells = ["DARTS_V2", "NASNet", "GDAS_F1"].map(findGenotype);
  const genotypes = cells.flatMap((cell) => [
    formatPython(cell),
    `PCDARTS = ${formatPython(cell)}`,
    formatJson(cell),
  ]);
  const config = join(folder, "config.yaml");
  const short =
    "seed: 1\nsearch: { epochs: 3, &a order: second }\nspace:\n  primitives:\n    - none\n    - skip_connect\n";
  const events = join(folder, "events.jsonl");
  const log = [
    {
      type: "search-step",
      time: "2026-01-01T00:00:00.000Z",
      epoch: 0,
      step: 0,
      trainLoss: 2.3,
      validLoss: null,
    },
    { type: "error", time: "2026-01-01T00:00:01.000Z", message: "Δ \n" },
  ];
  return [
    { name: "genotype", seeds: genotypes.map(encoded), read: (input) => parseGenotype(text(input)) },
    {
      name: "config",
      seeds: [formatConfig(resolveConfig({ preset: "quick" })), short, "a: &x [1]\nb: *x\n"].map(encoded),
      read(input) {
        writeFileSync(config, input);
        return resolveConfig({ file: config });
      },
    },
    {
      name: "--set",
      seeds: ["search.epochs=3", "space.primitives=[none, skip_connect]"].map(encoded),
      read: (input) => resolveConfig({ set: [text(input)] }),
    },
    {
      name: "event log",
      seeds: [encoded(log.map((event) => `${JSON.stringify(event)}\n`).join(""))],
      read(input) {
        writeFileSync(events, input);
        openEvents(events).close();
        return readEvents(events);
      },
    },
  ];
}

function tensors(): Target[] {
  const data = (length: number) => Uint8Array.from({ length }, (_, i) => i);
  const small = encodeSafetensors(
    new Map([
      ["weights/stem.0.weight", { dtype: "F32", shape: [2, 3], data: data(24) }],
      ["generator", { dtype: "U8", shape: [5], data: data(5) }],
    ]),
    { format: "x", state: '{"epoch":1}' },
  );
  return [{ name: "safetensors", seeds: [small], read: (input) => decodeSafetensors(input, "file") }];
}

function images(): Target[] {
  const pixels = (channels: number) =>
    Uint8Array.from({ length: 9 * 7 * channels }, (_, i) => (i * 37) % 256);
  const png = (channels: number) =>
    encodePng({ width: 9, height: 7, channels, depth: 8, data: pixels(channels) });
  const wide = Uint16Array.from({ length: 12 }, (_, i) => i * 5000);
  const jpeg = (quality: number) => encodeJpeg({ width: 9, height: 7, data: pixels(4) }, quality).data;
  const read = (input: Uint8Array) => decodeImage(input, "image");
  return [
    {
      name: "PNG",
      seeds: [
        png(1),
        png(3),
        png(4),
        encodePng({ width: 4, height: 3, channels: 1, depth: 16, data: wide }),
        interlacedPalette(),
      ],
      read: (input) => read(mended(input)),
    },
    { name: "JPEG", seeds: [jpeg(90), jpeg(20)], read },
  ];
}

/** Every second image gets its checksums right again. */
function mended(input: Uint8Array): Uint8Array {
  return crc32(input) & 1 ? withChecksums(input) : input;
}

/** A palette of two colours with transparency, interlaced: what the encoder does not write. */
function interlacedPalette(): Uint8Array {
  const chunk = (type: string, content: Uint8Array) => {
    const frame = Buffer.alloc(8);
    frame.writeUInt32BE(content.length, 0);
    return Buffer.concat([frame.subarray(0, 4), Buffer.from(type), content, frame.subarray(4)]);
  };
  const header = Buffer.from([0, 0, 0, 8, 0, 0, 0, 8, 8, 3, 0, 0, 1]);
  const rows = deflateSync(new Uint8Array(8 * 8 + 15));
  const chunks = [
    chunk("IHDR", header),
    chunk("PLTE", Uint8Array.of(1, 2, 3, 4, 5, 6)),
    chunk("tRNS", Uint8Array.of(9)),
  ];
  const end = [chunk("IDAT", rows), chunk("IEND", new Uint8Array())];
  return withChecksums(Buffer.concat([Buffer.from("89504e470d0a1a0a", "hex"), ...chunks, ...end]));
}

function datasets(folder: string): Target[] {
  const idx = idxFile([3, 4, 5], new Uint8Array(60).fill(7));
  const set = randomSet(1, { count: 5 });
  const batches = (form: "binary" | "python" | "sheets") => {
    const files = cifarFiles(set, set, form);
    const name = [...files.keys()].find((key) => key.startsWith("data_batch_1"))!;
    return {
      name: `CIFAR ${form}`,
      seeds: [files.get(name)!],
      read: (input: Uint8Array) =>
        readCifarFiles(new Map([...files, [name, form === "sheets" ? mended(input) : input]]), "archive"),
    };
  };
  const tarball = join(folder, "archive.tar.gz");
  const read = (bytes: Uint8Array) => {
    writeFileSync(tarball, bytes);
    return readTarball(tarball, () => true);
  };
  const stored = join(folder, "stored");
  mkdirSync(stored);
  storeDataset(stored, toyDataset({ images: 4, size: 2 }));
  return [
    { name: "IDX", seeds: [idx], read: (input) => parseIdx(input, "file") },
    {
      name: "compressed IDX",
      seeds: [gzipSync(idx)],
      read: (input) => parseIdx(unpackIdx(input, "file"), "file"),
    },
    batches("binary"),
    batches("python"),
    batches("sheets"),
    { name: "tar", seeds: [tar()], read: (input) => read(gzipSync(input, { level: 1 })) },
    { name: "tar.gz", seeds: [gzipSync(tar())], read },
    {
      name: "manifest of the cache",
      seeds: [encoded(manifestOf(stored))],
      read(input) {
        writeFileSync(join(stored, "manifest.json"), input);
        return readStored(stored);
      },
    },
  ];
}

function tar(): Uint8Array {
  const file = (name: string, content: string) => {
    const header = Buffer.alloc(512);
    new Header({ path: name, size: content.length, mode: 0o644, type: "File", mtime: new Date(0) }).encode(
      header,
      0,
    );
    return Buffer.concat([header, Buffer.from(content.padEnd(Math.ceil(content.length / 512) * 512, "\0"))]);
  };
  return Buffer.concat([
    file("a/data_batch_1.bin", "0123456789"),
    file("b.txt", "x".repeat(600)),
    Buffer.alloc(1024),
  ]);
}

function manifestOf(folder: string): string {
  return text(readFileSync(join(folder, "manifest.json")));
}

function encoded(value: string): Uint8Array {
  return Buffer.from(value);
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("utf8");
}
