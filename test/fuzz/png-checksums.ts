// A changed PNG with its checksums set right again: the damage gets past them to the decoder.
import { crc32 } from "node:zlib";

/** A copy of `bytes` in which every chunk that is whole has the checksum of its content. */
export function withChecksums(bytes: Uint8Array): Uint8Array {
  const copy = Buffer.from(bytes);
  for (let at = 8; at + 12 <= copy.length; ) {
    const length = copy.readUInt32BE(at);
    if (at + 12 + length > copy.length) break;
    copy.writeUInt32BE(crc32(copy.subarray(at + 4, at + 8 + length)), at + 8 + length);
    at += 12 + length;
  }
  return copy;
}
