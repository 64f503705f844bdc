// Files out of a .tar.gz, kept in memory: nothing is unpacked to the disk.
import { posix } from "node:path";
import { list } from "tar";
import { UserError } from "../errors.ts";

/** The files of a tarball whose name, without folders, `wanted` accepts: their bytes by that name. */
export async function readTarball(
  path: string,
  wanted: (name: string) => boolean,
): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  const pending: Promise<void>[] = [];
  try {
    // `strict` makes a cut or damaged archive an error instead of a warning.
    await list({
      file: path,
      strict: true,
      onReadEntry(entry) {
        const name = posix.basename(entry.path);
        if (entry.type !== "File" || !wanted(name)) return;
        pending.push(entry.concat().then((bytes) => void files.set(name, bytes)));
      },
    });
    await Promise.all(pending);
  } catch (error) {
    throw new UserError(
      `${path} is not a whole .tar.gz archive (${(error as Error).message}). Fetch it again and compare its size.`,
      { cause: error },
    );
  }
  return files;
}
