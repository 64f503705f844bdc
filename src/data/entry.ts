// What the data layer asks of one data set: a row of the table in datasets.ts.
import type { ImageDataset } from "./dataset.ts";
import type { Report } from "./download.ts";

/** What a data set is loaded with. */
export interface DataOptions {
  /** Folder or archive to read from; null: the cache. */
  readonly path: string | null;
  /** Side in pixels that images are resized to; null: as they are. */
  readonly imageSize: number | null;
  /** Cache folder. */
  readonly cache: string;
  readonly report: Report;
  /** Ends a download. */
  readonly signal?: AbortSignal | undefined;
}

/** What lies in the cache of one data set. */
export interface Verification {
  readonly state: "whole" | "absent" | "damaged";
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
