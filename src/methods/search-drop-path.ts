// Drop-path in a search: what methods that have it as an option check alike.
import { fusedOnly } from "../config/fused-only.ts";
import type { Config } from "../config/schema.ts";
import { UserError } from "../errors.ts";

/** Throws where only fused cells will do: libtorch's operators compute those of a search with drop-path. */
export function checkSearchDropPath(
  config: Pick<Config, "kernels" | "recompute" | "storage">,
  { dropPath }: { readonly dropPath: number },
): void {
  const setting = fusedOnly(config);
  if (dropPath === 0 || !setting) return;
  throw new UserError(
    `search.options.dropPath is ${dropPath}, but ${setting.asked}: libtorch's operators compute the cells of a search with ` +
      `drop-path. Set ${setting.advice}, or search.options.dropPath to 0.`,
  );
}
