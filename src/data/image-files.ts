// Which images a folder holds, of which classes, and what each is for: `train/<class>/*.png|jpg|jpeg`,
// `test/<class>/…` and, where the owner wants, `valid/<class>/…`; or only `<class>/…`, of which a share of each
// class becomes the test split. Names are read, no image is opened.
import { createHash } from "node:crypto";
import { existsSync, readdirSync, statSync } from "node:fs";
import { extname, join } from "node:path";
import { UserError } from "../errors.ts";
import type { Report } from "./download.ts";
import type { ImageFormat } from "./entry.ts";

const ENDINGS = [".png", ".jpg", ".jpeg"];
const MOST_CLASSES = 65_535; // labels are at most 16 bits wide

/** How the folders of a data set must lie, for messages. */
export const LAYOUT =
  "Expected <path>/train/<class>/*.png and <path>/test/<class>/*.png (or .jpg, .jpeg), or <path>/<class>/*.png";

/** An image file and its class's index. */
export interface LabelledFile {
  readonly path: string;
  readonly label: number;
}

/** What a folder of images holds. */
export interface ImageFiles {
  readonly classes: readonly string[];
  readonly train: readonly LabelledFile[];
  /** Those of `valid/`; undefined where there is no such folder. */
  readonly valid: readonly LabelledFile[] | undefined;
  readonly test: readonly LabelledFile[];
}

/** Lists the images below `path`; a {@link UserError} says how the folders should lie where they do not. */
export function findImages(
  path: string,
  { testShare, splitSeed }: Pick<ImageFormat, "testShare" | "splitSeed">,
  report: Report,
): ImageFiles {
  if (!existsSync(path) || !statSync(path).isDirectory()) {
    throw new UserError(`data.path ${path} is no folder. ${LAYOUT}.`);
  }
  const levels = ["train", "valid", "test"].filter((name) => folders(join(path, name)).length > 0);
  const missing = ["train", "test"].find((name) => !levels.includes(name));
  if (levels.length > 0 && missing !== undefined) {
    throw new UserError(`${path} has ${levels[0]}/ with classes in it but no ${missing}/. ${LAYOUT}.`);
  }
  const classes = folders(levels.length > 0 ? join(path, "train") : path);
  requireClasses(path, classes);
  if (levels.length === 0)
    return { classes, ...splitByName(path, classes, { testShare, splitSeed }, report) };
  const list = (level: string) => {
    requireSameClasses(path, level, classes);
    return classes.flatMap((name, label) =>
      imagesOf(join(path, level, name), report).map((file) => ({
        path: join(path, level, name, file),
        label,
      })),
    );
  };
  const valid = levels.includes("valid") ? list("valid") : undefined;
  return { classes, train: list("train"), valid, test: list("test") };
}

function requireClasses(path: string, classes: readonly string[]): void {
  if (classes.length < 2) {
    throw new UserError(
      `${path} holds ${classes.length} folders of images; at least 2 classes are needed. ${LAYOUT}.`,
    );
  }
  if (classes.length > MOST_CLASSES) {
    throw new UserError(
      `${path} holds ${classes.length} classes; at most ${MOST_CLASSES} can be told apart.`,
    );
  }
}

/**
 * `testShare` of each class, at least one image, becomes the test split: those whose names' hashes come first.
 * The run's seed has no part in it, so that no run trains on what another one tests on, and adding or removing
 * an image moves hardly any other.
 */
function splitByName(
  path: string,
  classes: readonly string[],
  { testShare, splitSeed }: Pick<ImageFormat, "testShare" | "splitSeed">,
  report: Report,
): Pick<ImageFiles, "train" | "valid" | "test"> {
  const train: LabelledFile[] = [];
  const test: LabelledFile[] = [];
  const salt = splitSeed === 0 ? "" : `${splitSeed}:`;
  for (const [label, name] of classes.entries()) {
    const files = imagesOf(join(path, name), report);
    if (files.length < 2) {
      throw new UserError(
        `${join(path, name)} holds one image; a class needs one to train on and one to test with. Add images.`,
      );
    }
    const order = files.map((file) => ({
      file,
      key: createHash("sha256").update(`${salt}${name}/${file}`).digest("hex"),
    }));
    order.sort((a, b) => (a.key < b.key ? -1 : 1));
    const count = Math.min(files.length - 1, Math.max(1, Math.round(testShare * files.length)));
    const tested = new Set(order.slice(0, count).map(({ file }) => file));
    for (const file of files) (tested.has(file) ? test : train).push({ path: join(path, name, file), label });
  }
  return { train, valid: undefined, test };
}

function requireSameClasses(path: string, level: string, train: readonly string[]): void {
  const other = folders(join(path, level));
  const only = (some: readonly string[], others: readonly string[]) => {
    const known = new Set(others);
    return some.filter((name) => !known.has(name));
  };
  const [missing, extra] = [only(train, other), only(other, train)];
  if (missing.length > 0)
    throw new UserError(`${path}: the class ${missing[0]} is in train/ but not in ${level}/.`);
  if (extra.length > 0)
    throw new UserError(`${path}: the class ${extra[0]} is in ${level}/ but not in train/.`);
}

/** Names of the folders in `path`, sorted by code unit so that labels do not depend on the locale. */
function folders(path: string): string[] {
  if (!existsSync(path) || !statSync(path).isDirectory()) return [];
  return visible(path).filter((name) => statSync(join(path, name)).isDirectory());
}

function imagesOf(folder: string, report: Report): string[] {
  const names = visible(folder);
  const images = names.filter((name) => ENDINGS.includes(extname(name).toLowerCase()));
  if (images.length === 0) {
    throw new UserError(`${folder} holds no images (${ENDINGS.join(", ")}). Add some or remove the folder.`);
  }
  const ignored = names.length - images.length;
  if (ignored > 0) report(`${folder}: ${ignored} entries that are not ${ENDINGS.join(", ")} are left out`);
  return images;
}

function visible(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => !name.startsWith("."))
    .sort();
}
