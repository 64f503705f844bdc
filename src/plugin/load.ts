// Loads a user's TypeScript files. jiti strips the types (Node 20 cannot), follows the file's own imports, and hands
// it this very library as "darts-nas", wherever the file lies: a second copy would have tables of its own.
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { UserError } from "../errors.ts";

const LIBRARY = "darts-nas";
const loaded = new Set<string>();

/**
 * Loads plugins and registers every definition that they export; a file that is loaded already is left alone.
 * Returns their full paths. Throws a {@link UserError} that names the file, and the line where there is one.
 */
export async function loadPlugins(files: readonly string[]): Promise<string[]> {
  const paths = files.map((file) => resolve(file));
  for (const path of paths) {
    if (loaded.has(path)) continue;
    await loadPlugin(path);
    loaded.add(path);
  }
  return paths;
}

/** Full paths of the plugins that this process has loaded. */
export function loadedPlugins(): readonly string[] {
  return [...loaded];
}

async function loadPlugin(path: string): Promise<void> {
  if (!existsSync(path)) {
    throw new UserError(
      `There is no plugin ${path}. Put the file back, or name where it is: --plugin FILE (the key plugin).`,
    );
  }
  const [{ createJiti }, library, { isDefinition }, { register }] = await Promise.all([
    import("jiti"),
    import(LIBRARY) as Promise<object>,
    import("./define.ts"),
    import("./register.ts"),
  ]);
  const jiti = createJiti(path, {
    fsCache: false,
    interopDefault: false,
    virtualModules: { [LIBRARY]: library },
  });
  let exported: object;
  try {
    exported = await jiti.import<object>(path);
  } catch (error) {
    throw new UserError(`The plugin ${path} cannot be loaded: ${reasonOf(error, path)}`, { cause: error });
  }
  const definitions = [...new Set(Object.values(exported))].filter(isDefinition);
  if (definitions.length === 0) {
    throw new UserError(
      `The plugin ${path} adds nothing; expected it to export what defineOperation, defineDataset, ` +
        `defineSpace or defineMethod returns, imported from "${LIBRARY}".`,
    );
  }
  try {
    register(...definitions);
  } catch (error) {
    throw error instanceof UserError ? new UserError(`The plugin ${path}: ${error.message}`) : error;
  }
}

/** What went wrong, and in which line: of the text where it does not parse, of the program where it throws. */
function reasonOf(error: unknown, path: string): string {
  const { message, stack = "" } = error instanceof Error ? error : new Error(String(error));
  const parsed = /^ParseError: (.*?)\s*\n\s*(.+:\d+:\d+)/s.exec(message);
  if (parsed) return `${parsed[2]}: ${parsed[1].replace(/\.$/, "")}. Mend that line.`;
  const [first] = message.split("\n");
  const line = stack
    .split("\n")
    .map((at) => /\(?((?:file:\/\/)?\/[^()]*?:\d+:\d+)\)?$/.exec(at)?.[1])
    .find((at) => at?.includes(path));
  return line ? `${first} (${line})` : first;
}
