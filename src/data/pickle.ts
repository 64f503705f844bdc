// A reader for the one kind of pickle that cifar-10-python.tar.gz holds: protocol 2, a dictionary of numbers,
// strings, lists and a numpy array of bytes. It builds plain values and never calls anything: a name outside
// the short list of numpy's own constructors is an error, so a hostile file can do nothing.

/** Raised where the bytes are not such a pickle: "it …"; the caller adds the file's name. */
export class PickleError extends Error {
  override readonly name = "PickleError";
}

/** A numpy array of unsigned bytes, rows first. */
export interface ByteArray {
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/** A value out of a pickle; byte strings and text are both strings, one character for each byte. */
export type PickleValue = Scalar | ByteArray | PickleValue[] | Map<PickleValue, PickleValue>;

type Scalar = null | boolean | number | string;

// Values that only exist while reading: a name, a numpy type, and an array whose state is still to come.
type Pending =
  | { kind: "global"; name: string }
  | { kind: "dtype"; code: string }
  | { kind: "array"; value?: ByteArray };
type Item = Scalar | Pending | Item[] | Map<Item, Item>;

/** Reads a pickle of protocol 2 (or below, in binary form). */
export function readPickle(bytes: Uint8Array): PickleValue {
  return new Reader(bytes).read();
}

const STOP = 46;
/** A CIFAR batch holds one. */
const MOST_ARRAYS = 16;

/** The instructions of such pickles by their code; the names are those of Python's pickletools. */
const INSTRUCTIONS: Readonly<Record<number, (reader: Reader) => void>> = {
  128: (reader) => reader.protocol(), // PROTO
  40: (reader) => reader.mark(), // MARK
  78: (reader) => reader.push(null), // NONE
  136: (reader) => reader.push(true), // NEWTRUE
  137: (reader) => reader.push(false), // NEWFALSE
  75: (reader) => reader.push(reader.byte()), // BININT1
  77: (reader) => reader.push(reader.take(2).readUInt16LE()), // BININT2
  74: (reader) => reader.push(reader.take(4).readInt32LE()), // BININT
  85: (reader) => reader.push(reader.take(reader.byte()).toString("latin1")), // SHORT_BINSTRING
  84: (reader) => reader.push(reader.take(reader.length()).toString("latin1")), // BINSTRING
  88: (reader) => reader.push(reader.take(reader.length()).toString("utf8")), // BINUNICODE
  93: (reader) => reader.push([]), // EMPTY_LIST
  41: (reader) => reader.push([]), // EMPTY_TUPLE
  125: (reader) => reader.push(new Map()), // EMPTY_DICT
  133: (reader) => reader.push(reader.popMany(1)), // TUPLE1
  134: (reader) => reader.push(reader.popMany(2)), // TUPLE2
  135: (reader) => reader.push(reader.popMany(3)), // TUPLE3
  116: (reader) => reader.push(reader.popMark()), // TUPLE
  97: (reader) => reader.append([reader.pop()]), // APPEND
  101: (reader) => reader.append(reader.popMark()), // APPENDS
  115: (reader) => reader.setItems(reader.popMany(2)), // SETITEM
  117: (reader) => reader.setItems(reader.popMark()), // SETITEMS
  113: (reader) => reader.memorise(reader.byte()), // BINPUT
  114: (reader) => reader.memorise(reader.length()), // LONG_BINPUT
  104: (reader) => reader.recall(reader.byte()), // BINGET
  106: (reader) => reader.recall(reader.length()), // LONG_BINGET
  99: (reader) => reader.push({ kind: "global", name: `${reader.line()}.${reader.line()}` }), // GLOBAL
  82: (reader) => reader.push(construct(reader.popMany(2))), // REDUCE
  98: (reader) => reader.build(reader.pop()), // BUILD
};

class Reader {
  private at = 0;
  private arrays = 0;
  private stack: Item[] = [];
  private readonly marks: Item[][] = [];
  private readonly memo = new Map<number, Item>();
  private readonly bytes: Buffer;

  constructor(bytes: Uint8Array) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  read(): PickleValue {
    for (;;) {
      const code = this.byte();
      if (code === STOP) return finished(this.pop());
      const instruction = INSTRUCTIONS[code];
      if (instruction === undefined) {
        throw new PickleError(`it has the instruction 0x${code.toString(16)}, which CIFAR files lack`);
      }
      instruction(this);
    }
  }

  build(state: Item): void {
    const object = this.top();
    if (!isPending(object) || object.kind === "global")
      throw new PickleError("it sets the state of no array");
    if (object.kind !== "array") return;
    // Both limits keep the bytes copied below those of the file.
    if (object.value !== undefined || ++this.arrays > MOST_ARRAYS)
      throw new PickleError("it holds too many arrays");
    object.value = arrayFrom(state);
  }

  append(items: Item[]): void {
    const list = this.top();
    if (!Array.isArray(list)) throw new PickleError("it appends to no list");
    for (const item of items) list.push(item);
  }

  setItems(items: Item[]): void {
    const map = this.top();
    if (!(map instanceof Map)) throw new PickleError("it sets an item of no dictionary");
    for (let i = 0; i + 1 < items.length; i += 2) map.set(items[i], items[i + 1]);
  }

  protocol(): void {
    const version = this.byte();
    if (version > 2) throw new PickleError(`its protocol is ${version}, expected at most 2`);
  }

  mark(): void {
    this.marks.push(this.stack);
    this.stack = [];
  }

  memorise(key: number): void {
    this.memo.set(key, this.top());
  }

  recall(key: number): void {
    const value = this.memo.get(key);
    if (value === undefined) throw new PickleError(`it recalls entry ${key}, which it never stored`);
    this.push(value);
  }

  take(length: number): Buffer {
    if (this.at + length > this.bytes.length) throw new PickleError("it ends too early");
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  byte(): number {
    return this.take(1)[0];
  }

  length(): number {
    return this.take(4).readUInt32LE();
  }

  line(): string {
    const end = this.bytes.indexOf(10, this.at);
    if (end < 0) throw new PickleError("it ends too early");
    const text = this.bytes.toString("latin1", this.at, end);
    this.at = end + 1;
    return text;
  }

  push(item: Item): void {
    this.stack.push(item);
  }

  top(): Item {
    if (this.stack.length === 0) throw new PickleError("its stack is empty");
    return this.stack[this.stack.length - 1];
  }

  pop(): Item {
    const item = this.top();
    this.stack.pop();
    return item;
  }

  popMany(count: number): Item[] {
    if (this.stack.length < count) throw new PickleError("its stack is empty");
    return this.stack.splice(-count);
  }

  popMark(): Item[] {
    const items = this.stack;
    const below = this.marks.pop();
    if (below === undefined) throw new PickleError("its stack has no mark");
    this.stack = below;
    return items;
  }
}

/** What Python would call: numpy's two constructors, and the decoder that Python 3 writes for bytes. */
function construct([callable, args]: Item[]): Item {
  if (!isPending(callable) || callable.kind !== "global" || !Array.isArray(args)) {
    throw new PickleError("it calls what is no name");
  }
  switch (callable.name) {
    case "numpy.core.multiarray._reconstruct": // numpy 1
    case "numpy._core.multiarray._reconstruct": // numpy 2
      return { kind: "array" };
    case "numpy.dtype":
      if (typeof args[0] === "string") return { kind: "dtype", code: args[0] };
      break;
    case "_codecs.encode":
      // Latin-1 text whose characters are the bytes: already the form that strings have here.
      if (typeof args[0] === "string") return args[0];
  }
  throw new PickleError(`it calls ${callable.name}, which CIFAR files do not`);
}

/** State of a numpy array: (version, shape, dtype, in Fortran order, bytes). */
function arrayFrom(state: Item): ByteArray {
  const [, shape, dtype, fortran, raw] = Array.isArray(state) ? state : [];
  const sizes = Array.isArray(shape) ? shape.filter((size) => typeof size === "number") : [];
  if (
    !Array.isArray(shape) ||
    sizes.length !== shape.length ||
    !isPending(dtype) ||
    dtype.kind !== "dtype" ||
    !/^[|<]?u1$/.test(dtype.code) ||
    typeof raw !== "string"
  ) {
    throw new PickleError("its array does not hold unsigned bytes");
  }
  const data = Uint8Array.from(Buffer.from(raw, "latin1"));
  if (data.length !== sizes.reduce((product, size) => product * size, 1)) {
    throw new PickleError(`its array of ${sizes.join("×")} has ${data.length} bytes`);
  }
  return { shape: sizes, data: fortran === true && sizes.length === 2 ? transposed(data, sizes) : data };
}

/** Columns first to rows first. */
function transposed(data: Uint8Array, [rows, columns]: number[]): Uint8Array {
  const result = new Uint8Array(data.length);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) result[r * columns + c] = data[c * rows + r];
  }
  return result;
}

function isPending(item: Item | undefined): item is Pending {
  return typeof item === "object" && item !== null && "kind" in item;
}

/** Replaces arrays by their bytes; what was never completed is an error. What is stored twice is converted once. */
function finished(item: Item, done = new Map<Item, PickleValue>()): PickleValue {
  const known = done.get(item);
  if (known !== undefined) return known;
  if (Array.isArray(item)) {
    const list: PickleValue[] = [];
    done.set(item, list);
    for (const element of item) list.push(finished(element, done));
    return list;
  }
  if (item instanceof Map) {
    const map = new Map<PickleValue, PickleValue>();
    done.set(item, map);
    for (const [key, value] of item) map.set(finished(key, done), finished(value, done));
    return map;
  }
  if (!isPending(item)) return item;
  if (item.kind === "array" && item.value !== undefined) return item.value;
  throw new PickleError(`it holds a ${item.kind} where a value belongs`);
}
