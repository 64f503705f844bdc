// Run in a child process by the first use of libtorch: compiles the bridge. What it does goes to stderr, what stops it
// to stdout, for the parent to say.
import { UserError } from "../errors.ts";
import { buildAddon } from "./build.ts";
import { locateLibtorch } from "./locate.ts";

try {
  await buildAddon(locateLibtorch(), (line) => process.stderr.write(`${line}\n`));
} catch (error) {
  process.stdout.write(error instanceof UserError ? error.message : String((error as Error).stack));
  process.exitCode = 2;
}
