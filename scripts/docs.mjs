// Writes the API reference, made from the docstrings, to build/docs: `npm run docs`, then open its index.html.
import { fileURLToPath } from "node:url";
import { Application } from "typedoc";

const project = fileURLToPath(new URL("..", import.meta.url));
const out = `${project}build/docs`;
const app = await Application.bootstrap({
  name: "darts-nas",
  entryPoints: [`${project}src/index.ts`],
  tsconfig: `${project}tsconfig.json`,
  readme: "none",
  excludePrivate: true,
  excludeExternals: true,
  validation: { invalidLink: true, notExported: false, notDocumented: false },
});
const reflection = await app.convert();
if (!reflection || app.logger.hasErrors() || app.logger.hasWarnings()) process.exit(1);
await app.generateDocs(reflection, out);
process.stderr.write(`API reference in ${out}/index.html\n`);
