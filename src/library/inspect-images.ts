// A look at a folder of images: what `darts init` knows when it suggests settings.
import { readFileSync } from "node:fs";
import { AS_THEY_ARE } from "../data/entry.ts";
import { findImages, type LabelledFile } from "../data/image-files.ts";
import { type ImageHeader, readHeader } from "../data/image-header.ts";

/** What a folder of images holds. */
export interface Inspection {
  readonly path: string;
  readonly classes: readonly string[];
  /** Images of each class: to train on, and to test with. */
  readonly train: readonly number[];
  readonly test: readonly number[];
  /** Whether it has train/ and test/ folders of its own, and a valid/ folder beside them. */
  readonly split: boolean;
  readonly valid: boolean;
  /** Every height × width that occurs, with how often, the most frequent first. */
  readonly sizes: readonly { readonly height: number; readonly width: number; readonly count: number }[];
  /** How many images are grey, how many have colour, and how many of all have an alpha channel. */
  readonly grey: number;
  readonly colour: number;
  readonly alpha: number;
}

/**
 * Looks at every image's header, decoding none. Throws a UserError for folders that do not lie as they should, and for
 * a file that is no image.
 */
export function inspectImages(path: string, report: (line: string) => void = () => {}): Inspection {
  const { classes, train, valid, test } = findImages(path, AS_THEY_ARE, report);
  const all = [...train, ...(valid ?? []), ...test];
  const headers = all.map((file) => readHeader(readFileSync(file.path), file.path));
  const grey = headers.filter(({ channels }) => channels === 1).length;
  return {
    path,
    classes,
    train: countLabels([...train, ...(valid ?? [])], classes.length),
    test: countLabels(test, classes.length),
    split: train[0].path.startsWith(`${path.replace(/\/+$/, "")}/train/`),
    valid: valid !== undefined,
    sizes: countSizes(headers),
    grey,
    colour: headers.length - grey,
    alpha: headers.filter(({ alpha }) => alpha).length,
  };
}

function countSizes(headers: readonly ImageHeader[]): Inspection["sizes"] {
  const sizes = new Map<string, { height: number; width: number; count: number }>();
  for (const { height, width } of headers) {
    const key = `${height}×${width}`;
    const size = sizes.get(key) ?? { height, width, count: 0 };
    size.count++;
    sizes.set(key, size);
  }
  return [...sizes.values()].sort((a, b) => b.count - a.count || a.height - b.height || a.width - b.width);
}

function countLabels(files: readonly LabelledFile[], classes: number): number[] {
  const counts = new Array<number>(classes).fill(0);
  for (const { label } of files) counts[label]++;
  return counts;
}
