// Drop-path in a search: what methods that have it as an option check alike.
import type { Config } from "../config/schema.ts";
import { UserError } from "../errors.ts";

/** Throws where only fused cells will do: libtorch's operators compute those of a search with drop-path. */
export function checkSearchDropPath(
  { kernels, recompute }: Pick<Config, "kernels" | "recompute">,
  { dropPath }: { readonly dropPath: number },
): void {
  if (dropPath === 0 || (!recompute && kernels !== "fused")) return;
  throw new UserError(
    `search.options.dropPath is ${dropPath}, but ${recompute ? "recompute is true" : "kernels is fused"}: libtorch's ` +
      "operators compute the cells of a search with drop-path. Set recompute to false and kernels to auto, or " +
      "search.options.dropPath to 0.",
  );
}
