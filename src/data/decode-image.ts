// PNG and JPEG files as bytes of one (grey) or three (RGB) channels. 16-bit values keep their high half.
// Alpha is dropped where it is not asked for, and never blended: what most training code does, so that results
// compare.
import { convertIndexedToRgb, type DecodedPng } from "fast-png";
import { decode as decodeJpeg } from "jpeg-js";
import { UserError } from "../errors.ts";
import { decodePng, MOST_PIXELS } from "./png.ts";
import type { Pixels } from "./resize.ts";

/** Progressive images have about ten. */
const MOST_SCANS = 100;

/**
 * Reads the PNG or JPEG `bytes`, recognised by their content; `where` names the file in errors. With `alpha`, an
 * image that has an alpha channel comes as four channels, grey repeated.
 */
export function decodeImage(bytes: Uint8Array, where: string, { alpha = false } = {}): Pixels {
  const isPng = bytes[0] === 0x89 && bytes[1] === 0x50;
  const isJpeg = bytes[0] === 0xff && bytes[1] === 0xd8;
  if (!isPng && !isJpeg)
    throw new UserError(`${where} is neither a PNG nor a JPEG image. Replace or remove it.`);
  try {
    return isPng ? fromPng(bytes, alpha) : fromJpeg(bytes);
  } catch (error) {
    throw new UserError(`${where} cannot be read (${(error as Error).message}). Replace or remove it.`, {
      cause: error,
    });
  }
}

function fromPng(bytes: Uint8Array, alpha: boolean): Pixels {
  const png = decodePng(bytes);
  const { width, height } = png;
  if (png.palette) {
    // Entries have a fourth number when the palette has transparency.
    const stored = png.palette[0].length;
    const colours = convertIndexedToRgb(png);
    if (alpha && stored === 4) return { width, height, channels: 4, data: colours };
    return withoutAlpha(width, height, colours, stored);
  }
  const data = eightBit(png);
  if (alpha && png.channels === 4) return { width, height, channels: 4, data };
  if (alpha && png.channels === 2) return { width, height, channels: 4, data: greyAlpha(data) };
  return withoutAlpha(width, height, data, png.channels);
}

/** Grey of 1, 2 or 4 bits is packed, rows start at whole bytes; 16 bits are halved. */
function eightBit({ width, height, depth, data }: DecodedPng): Uint8Array {
  if (depth === 16) return Uint8Array.from(data, (value) => value >> 8);
  if (depth === 8) return data as Uint8Array;
  const result = new Uint8Array(width * height);
  const stride = Math.ceil((width * depth) / 8);
  const largest = 2 ** depth - 1;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const bit = x * depth;
      const value = (data[y * stride + (bit >> 3)] >> (8 - depth - (bit & 7))) & largest;
      result[y * width + x] = (value * 255) / largest;
    }
  }
  return result;
}

/** Grey and alpha to RGB and alpha. */
function greyAlpha(data: Uint8Array): Uint8Array {
  const result = new Uint8Array(data.length * 2);
  for (let i = 0; i < data.length; i += 2) result.set([data[i], data[i], data[i], data[i + 1]], i * 2);
  return result;
}

function withoutAlpha(width: number, height: number, data: Uint8Array, from: number): Pixels {
  const channels = from < 3 ? 1 : 3;
  return { width, height, channels, data: from === channels ? data : picked(data, from, channels) };
}

function fromJpeg(bytes: Uint8Array): Pixels {
  const components = requireWholeJpeg(bytes);
  requireFewScans(bytes);
  const options = {
    useTArray: true,
    formatAsRGBA: false,
    tolerantDecoding: false,
    maxResolutionInMP: MOST_PIXELS / 1e6,
  } as const;
  const { width, height, data } = decodeJpeg(bytes, options);
  // The decoder repeats grey three times.
  return components === 1
    ? { width, height, channels: 1, data: picked(data, 3, 1) }
    : { width, height, channels: 3, data };
}

/**
 * The number of components of a JPEG, which the decoder does not tell. Also finds the end mark after the
 * image: the decoder fills what is missing of a cut file with grey and says nothing.
 */
function requireWholeJpeg(bytes: Uint8Array): number {
  let components = 0;
  for (let at = 2; at + 9 < bytes.length && bytes[at] === 0xff; ) {
    const marker = bytes[at + 1];
    if (marker === 0xff) {
      at++; // a fill byte
      continue;
    }
    // Start of frame: C0…CF, except the tables C4 and CC and the reserved C8.
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) components = bytes[at + 9];
    at += 2 + ((bytes[at + 2] << 8) | bytes[at + 3]);
    if (marker === 0xda) {
      if (Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf("ffd9", at, "hex") < 0) break;
      return components;
    }
  }
  throw new Error("the file is cut: its end is missing");
}

/** Each scan walks over all pixels: a few kilobytes of empty scans would keep the decoder busy for hours. */
function requireFewScans(bytes: Uint8Array): void {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  let scans = 0;
  for (let at = 0; at >= 0 && scans <= MOST_SCANS; scans++) at = buffer.indexOf("ffda", at + 1, "hex");
  if (scans > MOST_SCANS) throw new Error(`it has more than ${MOST_SCANS} scans`);
}

/** The first `to` of every `from` values. */
function picked(data: Uint8Array, from: number, to: number): Uint8Array {
  const count = data.length / from;
  const result = new Uint8Array(count * to);
  for (let i = 0; i < count; i++) {
    for (let c = 0; c < to; c++) result[i * to + c] = data[i * from + c];
  }
  return result;
}
