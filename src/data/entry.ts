// What the data layer asks of one data set: a row of the table in datasets.ts.
import type { Config } from "../config/schema.ts";
import type { ImageDataset } from "./dataset.ts";
import type { Report } from "./download.ts";

/** How images of one's own are read: the keys of a configuration's `data` section that say so. */
export type ImageFormat = Pick<
  Config["data"],
  "imageSize" | "imageWidth" | "channels" | "testShare" | "splitSeed"
>;

/** Images as their files have them, a fifth of each class tested on. */
export const AS_THEY_ARE: ImageFormat = {
  imageSize: null,
  imageWidth: null,
  channels: null,
  testShare: 0.2,
  splitSeed: 0,
};

/** What a data set is loaded with. */
export interface DataOptions extends ImageFormat {
  /** Folder or archive to read from; null: the cache. */
  readonly path: string | null;
  /** Cache folder. */
  readonly cache: string;
  readonly report: Report;
  /** Ends a download, or the reading of a folder. */
  readonly signal?: AbortSignal | undefined;
}

/** What lies in the cache of one data set. */
export interface Verification {
  /** `yours`: the cache has no part in it. */
  readonly state: "whole" | "absent" | "damaged" | "yours";
  readonly folder: string;
  /** What is wrong, one line for each file; empty unless damaged. */
  readonly problems: readonly string[];
}

/** One data set: how it is called, fetched, read and checked. */
export interface DatasetEntry {
  readonly name: string;
  readonly description: string;
  /** Bytes of its download; 0 where the user brings the images. */
  readonly bytes: number;
  /** Makes sure that the cache holds it whole: does nothing, makes it again from its download, or downloads. */
  get(options: DataOptions): Promise<void>;
  /** Reads it, from `path` or from the cache, which it fills when it must. */
  load(options: DataOptions): Promise<ImageDataset>;
  /** Compares every checksum in the cache and changes nothing. */
  verify(options: Pick<DataOptions, "cache">): Promise<Verification>;
}
