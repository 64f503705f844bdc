// PNG files, decoded within limits: what a file announces or unpacks to is known before memory is given to it.
import { inflateSync } from "node:zlib";
import { type DecodedPng, decode } from "fast-png";

/** More pixels than any photograph or sheet has; JPEG's decoder has the same limit. */
export const MOST_PIXELS = 100_000_000;
/** Deflate packs at most 1032 bytes into one: below this length no stream is worth a second look. */
const HARMLESS_BYTES = 64 * 1024;
const MOST_PROFILE_BYTES = 64 * 2 ** 20;

const CHANNELS: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };

/** Decodes a PNG, checksums compared. Throws a plain Error for one that is damaged, or too large to be an image. */
export function decodePng(bytes: Uint8Array): DecodedPng {
  requireLimits(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  return decode(bytes, { checkCrc: true });
}

/** The decoder unpacks whatever there is before it compares it with the header. */
function requireLimits(bytes: Buffer): void {
  let expected = 0;
  const data: Buffer[] = [];
  for (const { type, content } of chunks(bytes)) {
    if (type === "IHDR") expected = unpackedBytes(content);
    if (type === "IDAT") data.push(content);
    // A profile's name and its ending zero, the method, then the stream.
    if (type === "iCCP") requireSize([content.subarray(content.indexOf(0) + 2)], MOST_PROFILE_BYTES);
  }
  requireSize(data, expected);
}

function* chunks(bytes: Buffer): Generator<{ type: string; content: Buffer }> {
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = bytes.readUInt32BE(at);
    const type = bytes.toString("latin1", at + 4, at + 8);
    yield { type, content: bytes.subarray(at + 8, at + 8 + length) };
    if (type === "IEND") return;
    at += 12 + length;
  }
}

/** Bytes of the rows with their filter bytes, as the header announces them; interlacing adds a few more rows. */
function unpackedBytes(header: Buffer): number {
  if (header.length !== 13) throw new Error(`its header has ${header.length} bytes, expected 13`);
  const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)];
  if (width === 0 || height === 0) throw new Error(`it is ${width}×${height} pixels large`);
  if (width * height > MOST_PIXELS) {
    throw new Error(`it announces ${width}×${height} pixels, at most ${MOST_PIXELS / 1e6} million are read`);
  }
  const bits = (CHANNELS[header[9]] ?? 4) * header[8];
  return 2 * height * (Math.ceil((width * bits) / 8) + 1) + 64;
}

function requireSize(pieces: readonly Buffer[], most: number): void {
  if (pieces.reduce((sum, piece) => sum + piece.length, 0) < HARMLESS_BYTES) return;
  try {
    inflateSync(Buffer.concat(pieces), { maxOutputLength: most });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ERR_BUFFER_TOO_LARGE") throw error;
    throw new Error(`it unpacks to more than the ${most} bytes that its header announces`);
  }
}
