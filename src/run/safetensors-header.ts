// The header of a safetensors file: a JSON object of names → {dtype, shape, data_offsets}. Everything in it is
// checked before a byte of data is believed, with the limits of the reference reader (no gaps, no overlap).

/** Bytes of one element, by the format's name of the type. */
export const DTYPE_BYTES = { F64: 8, I64: 8, F32: 4, I32: 4, F16: 2, BF16: 2, U8: 1, BOOL: 1 } as const;

/** A data type of the format. */
export type Dtype = keyof typeof DTYPE_BYTES;

/** Where one tensor lies: offsets count from the end of the header. */
export interface Entry {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/** A checked header. */
export interface Header {
  readonly entries: readonly Entry[];
  readonly metadata: Readonly<Record<string, string>>;
}

/** The largest header that the reference reader takes. */
export const MAX_HEADER_BYTES = 100_000_000;

/** The key of the header that is not a tensor. */
export const METADATA_KEY = "__metadata__";

/** Writes the header's JSON text, entries in the order given. */
export function formatHeader({ entries, metadata }: Header): string {
  const fields = entries.map(
    ({ name, dtype, shape, begin, end }) =>
      `${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [begin, end] })}`,
  );
  if (Object.keys(metadata).length) fields.unshift(`"${METADATA_KEY}":${JSON.stringify(metadata)}`);
  return `{${fields.join(",")}}`;
}

/**
 * Reads and checks the header's JSON text against the bytes of data that follow it; calls `fail` with which entry is
 * wrong and how.
 */
export function parseHeader(text: string, dataBytes: number, fail: Fail): Header {
  const fields = parseObject(text, fail);
  // JSON.parse would move names like "0" to the front and drop doubled ones: the text gives order and doubles.
  const names = topLevelNames(text, fail);
  const metadata = checkMetadata(fields.get(METADATA_KEY), fail);
  const entries = names
    .filter((name) => name !== METADATA_KEY)
    .map((name) =>
      checkEntry(name, fields.get(name), (problem) => fail(`tensor ${JSON.stringify(name)}: ${problem}`)),
    );
  checkCover(entries, dataBytes, fail);
  return { entries, metadata };
}

/** Throws the error that says which file it is, and what to do. */
export type Fail = (problem: string) => never;

function parseObject(text: string, fail: Fail): Map<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    fail(`the header is not JSON: ${(error as Error).message}`);
  }
  if (!isObject(value)) return fail("the header is not a JSON object");
  return new Map(Object.entries(value));
}

/** The keys of the outermost object in the order of the text, which is known to be valid JSON. */
function topLevelNames(text: string, fail: Fail): string[] {
  const open: Set<string>[] = [];
  for (const [token, , colon] of text.matchAll(/("(?:[^"\\]|\\.)*")(\s*:)?|[{}]/g)) {
    if (token === "{") open.push(new Set());
    else if (token === "}") {
      const closed = open.pop()!;
      if (!open.length) return [...closed];
    } else if (colon !== undefined) {
      const name = JSON.parse(token.slice(0, token.length - colon.length)) as string;
      if (open.at(-1)!.has(name)) fail(`the key ${JSON.stringify(name)} stands twice in the header`);
      open.at(-1)!.add(name);
    }
  }
  return [];
}

function checkMetadata(value: unknown, fail: Fail): Record<string, string> {
  if (value === undefined) return {};
  if (!isObject(value) || Object.values(value).some((item) => typeof item !== "string")) {
    return fail(`${METADATA_KEY} is not an object of texts`);
  }
  return value as Record<string, string>;
}

function checkEntry(name: string, value: unknown, fail: Fail): Entry {
  if (!isObject(value)) return fail("its entry is not an object");
  const { dtype, shape, data_offsets: offsets, ...rest } = value;
  if (Object.keys(rest).length) fail(`unknown field ${JSON.stringify(Object.keys(rest)[0])}`);
  if (typeof dtype !== "string" || !Object.hasOwn(DTYPE_BYTES, dtype)) {
    return fail(`unknown dtype ${JSON.stringify(dtype)}; known are ${Object.keys(DTYPE_BYTES).join(", ")}`);
  }
  if (!isCounts(shape)) return fail(`the shape ${JSON.stringify(shape)} is not a list of whole numbers`);
  if (!isCounts(offsets) || offsets.length !== 2 || offsets[0]! > offsets[1]!) {
    return fail(`data_offsets ${JSON.stringify(offsets)} is not a pair [begin, end] with begin <= end`);
  }
  const [begin, end] = offsets as [number, number];
  const expected = byteLength(dtype as Dtype, shape);
  if (end - begin !== expected) {
    fail(
      `${dtype} of shape [${shape.join(", ")}] takes ${expected} bytes, but data_offsets span ${end - begin}`,
    );
  }
  return { name, dtype: dtype as Dtype, shape, begin, end };
}

/** Bytes of a tensor of that type and shape. */
export function byteLength(dtype: Dtype, shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, DTYPE_BYTES[dtype]);
}

/** The tensors must cover the data exactly: bytes that belong to none, or to two, mean a damaged file. */
function checkCover(entries: readonly Entry[], dataBytes: number, fail: Fail): void {
  let reached = 0;
  for (const { name, begin, end } of [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    const label = `tensor ${JSON.stringify(name)}`;
    if (begin < reached)
      fail(`${label} begins at byte ${begin}, inside the tensor before it, which ends at ${reached}`);
    if (begin > reached) fail(`${label} begins at byte ${begin}, leaving a gap after byte ${reached}`);
    if (end > dataBytes)
      fail(`${label} ends at byte ${end}, but the file holds ${dataBytes} bytes of data (cut off?)`);
    reached = end;
  }
  if (reached !== dataBytes) fail(`${dataBytes - reached} bytes at the end of the file belong to no tensor`);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}
