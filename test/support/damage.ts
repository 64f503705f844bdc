// Damaged files for tests: what disks, editors, broken downloads and other programs make of a good one. Seeded, so
// that a failure names the number that makes it again.
import { createGenerator, type Generator } from "../../src/random/generator.ts";

/** A kind of damage with the name that a test prints. */
export interface Damage {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** Numbers that headers do not expect: the largest of each width, signs, zero, and 10 TB. */
const EXTREMES: readonly bigint[] = [0n, 1n, 0x7fn, 0xffn, 0x7fffn, 0xffffn, 0x7fffffffn, 0x80000000n];
const LARGE: readonly bigint[] = [0xffffffffn, 10_000_000_000_000n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n];

/** The damage of a file that every reader of files of its kind must notice or survive: one of each kind. */
export function damages(bytes: Uint8Array): Damage[] {
  const changed = Uint8Array.from(bytes);
  changed[changed.length >> 1] ^= 0x40;
  const last = Uint8Array.from(bytes);
  last[last.length - 1] ^= 1;
  return [
    { name: "empty", bytes: new Uint8Array() },
    { name: "cut in its first bytes", bytes: bytes.subarray(0, 5) },
    { name: "cut in the middle", bytes: bytes.subarray(0, bytes.length >> 1) },
    { name: "cut by one byte", bytes: bytes.subarray(0, bytes.length - 1) },
    { name: "longer by one byte", bytes: Buffer.concat([bytes, Uint8Array.of(7)]) },
    { name: "changed by one bit in the middle", bytes: changed },
    { name: "changed by one bit at its end", bytes: last },
    { name: "overwritten with zeros", bytes: new Uint8Array(bytes.length) },
    { name: "a page of HTML", bytes: Buffer.from("<!doctype html><title>404 Not Found</title>") },
    { name: "twice in a row", bytes: Buffer.concat([bytes, bytes]) },
  ];
}

/** `bytes` with one random change, sometimes up to four, or now and then random bytes. */
export function mutated(bytes: Uint8Array, generator: Generator): Uint8Array {
  if (generator.int(0, 19) === 0) return randomBytes(generator.int(0, 200), generator);
  let result = Buffer.from(bytes);
  for (let i = generator.int(0, 1) ? 1 : generator.int(2, 4); i > 0; i--) {
    const change = CHANGES[generator.int(0, CHANGES.length - 1)]!;
    result = change(result, generator.int(0, Math.max(0, result.length - 1)), generator);
  }
  return result;
}

type Change = (bytes: Buffer, at: number, generator: Generator) => Buffer<ArrayBuffer>;

const CHANGES: readonly Change[] = [
  (bytes, at, generator) => spliced(bytes, at, 1, Uint8Array.of(generator.int(0, 255))),
  (bytes, at, generator) =>
    spliced(bytes, at, 1, Uint8Array.of((bytes[at] ?? 0) ^ (1 << generator.int(0, 7)))),
  (bytes, at) => Buffer.from(bytes.subarray(0, at)),
  (bytes, at, generator) => spliced(bytes, at, generator.int(1, 40), new Uint8Array()),
  (bytes, at, generator) => spliced(bytes, at, 0, randomBytes(generator.int(1, 12), generator)),
  (bytes, at, generator) => spliced(bytes, at, 0, bytes.subarray(at, at + generator.int(1, 60))),
  (bytes, at, generator) => {
    const from = generator.int(0, bytes.length);
    const piece = bytes.subarray(from, from + generator.int(1, 60));
    return spliced(bytes, at, piece.length, piece);
  },
  (bytes, at, generator) => spliced(bytes, at, 8, extreme(generator)),
  (bytes, at, generator) => spliced(bytes, at, generator.int(0, 3), words(generator)),
  (bytes, at, generator) => spliced(bytes, at, 0, repeated(generator)),
];

function spliced(bytes: Buffer, at: number, remove: number, insert: Uint8Array): Buffer<ArrayBuffer> {
  return Buffer.concat([bytes.subarray(0, at), insert, bytes.subarray(at + remove)]);
}

function randomBytes(length: number, generator: Generator): Uint8Array {
  return Uint8Array.from({ length }, () => generator.int(0, 255));
}

function extreme(generator: Generator): Uint8Array {
  const numbers = [...EXTREMES, ...LARGE];
  const value = numbers[generator.int(0, numbers.length - 1)]!;
  const bytes = Buffer.alloc(8);
  if (generator.int(0, 1)) bytes.writeBigUInt64LE(value);
  else bytes.writeBigUInt64BE(value);
  const width = [1, 2, 4, 8][generator.int(0, 3)]!;
  return generator.int(0, 1) ? bytes.subarray(0, width) : bytes.subarray(8 - width);
}

/** Words that mean something to one format or another. */
const WORDS = [
  ...[
    "null",
    "-1",
    "1e999",
    "NaN",
    "9007199254740993",
    "0.5",
    "true",
    "{}",
    "[]",
    "[[",
    "]]",
    '""',
    "\n",
    ":",
    ",",
  ],
  ...[
    "__proto__",
    "constructor",
    "&a",
    "*a",
    "!!js/function",
    "<<: *a",
    "|",
    ">",
    "---",
    "\t",
    "\0",
    "\ud800",
  ],
  ...[
    "range(0, 9999999999)",
    "none",
    "(",
    ")",
    "'",
    '"',
    "\\u0000",
    "😀",
    "\u2028",
    "../../x",
    "\xff\xda",
    "IDAT",
  ],
];

function words(generator: Generator): Uint8Array {
  return Buffer.from(WORDS[generator.int(0, WORDS.length - 1)]!);
}

/** Nesting and runs: what recursion and backtracking do not like. */
function repeated(generator: Generator): Uint8Array {
  const unit = ["[", "(", "{", " ", "a", "\n- ", '{"a":', "\0", "*a ", "(("][generator.int(0, 9)]!;
  return Buffer.from(unit.repeat(generator.int(2, generator.int(0, 9) === 0 ? 20_000 : 200)));
}

/** A generator for the `index`-th input of a run of fuzzing. */
export function inputGenerator(seed: number, target: string, index: number): Generator {
  return createGenerator(seed, `fuzz/${target}/${index}`);
}
