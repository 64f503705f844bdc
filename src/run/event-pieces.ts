// The bytes of an event log, in pieces: events.jsonl is the one that grows, and when it is full it is put aside as
// events.1.jsonl, events.2.jsonl and so on, oldest first. No step of that can lose a line: a piece is renamed, never
// copied, and whoever reads takes all pieces in order.
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { dirname, extname } from "node:path";
import { flushFolder, withPath } from "../files.ts";

/** A piece takes no more lines above this size: some hundred thousand steps, and read at once without trouble. */
export const PIECE_BYTES = 64 * 2 ** 20;

/** A log open for appending. */
export interface Pieces {
  /** Bytes of all pieces. */
  readonly size: number;
  /** Appends a line, whole or not at all. */
  append(line: Uint8Array): void;
  /** Takes off everything after the first `size` bytes. */
  truncate(size: number): void;
  /** Makes what was appended survive a power failure. */
  flush(): void;
  close(): void;
}

/** Paths of the pieces of the log at `path` that are there, oldest first. */
export function piecePaths(path: string): string[] {
  const older: string[] = [];
  while (existsSync(pieceAt(path, older.length + 1))) older.push(pieceAt(path, older.length + 1));
  // Between putting a piece aside and making the next one, a crash leaves only older ones.
  return existsSync(path) || older.length === 0 ? [...older, path] : older;
}

/** Opens the log at `path`, making it if need be. */
export function openPieces(path: string, pieceBytes = PIECE_BYTES): Pieces {
  return withPath("open", path, () => new OpenPieces(path, pieceBytes));
}

class OpenPieces implements Pieces {
  readonly #path: string;
  readonly #pieceBytes: number;
  /** Bytes of each piece put aside. */
  #older: number[];
  #file: number;
  #bytes: number;

  constructor(path: string, pieceBytes: number) {
    this.#path = path;
    this.#pieceBytes = pieceBytes;
    this.#older = piecePaths(path)
      .filter((piece) => piece !== path)
      .map(sizeOf);
    this.#file = openSync(path, "a");
    this.#bytes = fstatSync(this.#file).size;
  }

  get size(): number {
    return this.#older.reduce((sum, bytes) => sum + bytes, this.#bytes);
  }

  append(line: Uint8Array): void {
    withPath("write", this.#path, () => {
      if (this.#bytes > 0 && this.#bytes + line.length > this.#pieceBytes) this.#putAside();
      try {
        for (let done = 0; done < line.length; ) done += writeSync(this.#file, line, done);
      } catch (error) {
        this.#cutTo(this.#bytes);
        throw error;
      }
      this.#bytes += line.length;
    });
  }

  truncate(size: number): void {
    withPath("cut", this.#path, () => {
      while (size < this.size - this.#bytes) this.#takeBack();
      this.#cutTo(this.#bytes - (this.size - size));
    });
  }

  flush(): void {
    withPath("write", this.#path, () => fsyncSync(this.#file));
  }

  close(): void {
    closeSync(this.#file);
  }

  #putAside(): void {
    fsyncSync(this.#file);
    closeSync(this.#file);
    this.#older.push(this.#bytes);
    renameSync(this.#path, pieceAt(this.#path, this.#older.length));
    this.#open(0);
  }

  /** The last piece put aside grows again; what came after it is dropped. */
  #takeBack(): void {
    closeSync(this.#file);
    rmSync(this.#path);
    renameSync(pieceAt(this.#path, this.#older.length), this.#path);
    this.#open(this.#older.pop()!);
  }

  #open(bytes: number): void {
    this.#file = openSync(this.#path, "a");
    this.#bytes = bytes;
    flushFolder(dirname(this.#path));
  }

  /** A device such as /dev/full has no length to set. */
  #cutTo(bytes: number): void {
    if (fstatSync(this.#file).isFile()) ftruncateSync(this.#file, bytes);
    this.#bytes = bytes;
  }
}

function sizeOf(path: string): number {
  const file = openSync(path, "r");
  try {
    return fstatSync(file).size;
  } finally {
    closeSync(file);
  }
}

/** `events.jsonl` → `events.3.jsonl`. */
function pieceAt(path: string, number: number): string {
  const ending = extname(path);
  return `${path.slice(0, path.length - ending.length)}.${number}${ending}`;
}
