// Files out of a .tar.gz, kept in memory: nothing is unpacked to the disk.
import { createReadStream } from "node:fs";
import { posix } from "node:path";
import { Parser } from "tar";
import { UserError } from "../errors.ts";

/** Ten times the largest data set here; a tarball that announces more is not unpacked. */
const MOST_BYTES = 4 * 2 ** 30;

/** The files of a tarball whose name, without folders, `wanted` accepts: their bytes by that name. */
export async function readTarball(
  path: string,
  wanted: (name: string) => boolean,
): Promise<Map<string, Uint8Array>> {
  try {
    return await unpack(path, wanted);
  } catch (error) {
    throw new UserError(
      `${path} is not a whole .tar.gz archive (${(error as Error).message}). Fetch it again and compare its size.`,
      { cause: error },
    );
  }
}

function unpack(path: string, wanted: (name: string) => boolean): Promise<Map<string, Uint8Array>> {
  return new Promise((resolve, reject) => {
    const files = new Map<string, Uint8Array>();
    const pending: Promise<unknown>[] = [];
    let announced = 0;
    // `strict` makes a cut or damaged archive an error instead of a warning.
    const parser = new Parser({
      strict: true,
      onReadEntry(entry) {
        announced += entry.size;
        if (announced > MOST_BYTES) {
          stop(new Error(`it announces more than ${MOST_BYTES / 2 ** 30} GiB of files`));
        }
        const name = posix.basename(entry.path);
        if (announced > MOST_BYTES || entry.type !== "File" || !wanted(name)) return entry.resume();
        pending.push(entry.concat().then((bytes) => files.set(name, bytes)));
      },
    });
    const source = createReadStream(path);
    const stop = (error: Error) => {
      source.destroy();
      reject(error);
    };
    source.on("error", stop);
    parser.on("error", stop);
    parser.on("end", () => Promise.all(pending).then(() => resolve(files), stop));
    source.pipe(parser as unknown as NodeJS.WritableStream);
  });
}
