#!/usr/bin/env node
// The `darts` command: runs the compiled command line, or says how to compile it.
import { existsSync } from "node:fs";

const main = new URL("../dist/src/cli/main.js", import.meta.url);
if (!existsSync(main)) {
  process.stderr.write(
    "darts: not built yet (no dist/ folder). Run `npm run setup` in the project folder first.\n",
  );
  process.exit(2);
}
process.setSourceMapsEnabled?.(true);
const { main: run } = await import(main.href);
await run(process.argv.slice(2));
