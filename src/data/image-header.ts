// Size and channels of a PNG or JPEG from its header: a look at thousands of files without decoding one.
import { UserError } from "../errors.ts";
import type { Size } from "./resize.ts";

/** What an image's header says. */
export interface ImageHeader extends Size {
  /** 1: grey, 3: RGB (a palette's colours too). */
  readonly channels: 1 | 3;
  /** Whether there is an alpha channel beside them. */
  readonly alpha: boolean;
}

/** Colour types of PNG that are grey, and those that have alpha (ISO 15948, table 11.1). */
const PNG_GREY = [0, 4];
const PNG_ALPHA = [4, 6];

/** Reads the header of a PNG or JPEG; a {@link UserError} names the file `where` when it is neither, or cut. */
export function readHeader(bytes: Uint8Array, where: string): ImageHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const isPng = bytes[0] === 0x89 && bytes[1] === 0x50;
  const isJpeg = bytes[0] === 0xff && bytes[1] === 0xd8;
  if (!isPng && !isJpeg)
    throw new UserError(`${where} is neither a PNG nor a JPEG image. Replace or remove it.`);
  const header = isPng ? pngHeader(view) : jpegHeader(view);
  if (header && header.width > 0 && header.height > 0) return header;
  throw new UserError(`${where} cannot be read (the file is cut or damaged). Replace or remove it.`);
}

function pngHeader(view: DataView): ImageHeader | undefined {
  if (view.byteLength < 33) return undefined;
  const colour = view.getUint8(25);
  return {
    width: view.getUint32(16),
    height: view.getUint32(20),
    channels: PNG_GREY.includes(colour) ? 1 : 3,
    alpha: PNG_ALPHA.includes(colour),
  };
}

/** The frame header lies behind segments of other kinds, each with its length. */
function jpegHeader(view: DataView): ImageHeader | undefined {
  for (let at = 2; at + 9 < view.byteLength && view.getUint8(at) === 0xff; ) {
    const marker = view.getUint8(at + 1);
    if (marker === 0xff) {
      at++; // a fill byte
      continue;
    }
    // Start of frame: C0…CF, except the tables C4 and CC and the reserved C8.
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      const channels = view.getUint8(at + 9) === 1 ? 1 : 3;
      return { height: view.getUint16(at + 5), width: view.getUint16(at + 7), channels, alpha: false };
    }
    at += 2 + view.getUint16(at + 2);
  }
  return undefined;
}
