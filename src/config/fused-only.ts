// Settings that only fused cells can keep: where libtorch's operators compute the cells, they are refused.
import type { Config } from "./schema.ts";

/** The first such setting, as `key is value`, and what to set instead; undefined where any cells will do. */
export function fusedOnly({
  kernels,
  recompute,
  storage,
}: Pick<Config, "kernels" | "recompute" | "storage">): { asked: string; advice: string } | undefined {
  if (kernels === "fused") return { asked: "kernels is fused", advice: "kernels to auto or composite" };
  if (recompute) return { asked: "recompute is true", advice: "recompute to false" };
  if (storage === "bf16") return { asked: "storage is bf16", advice: "storage to fp32" };
  return undefined;
}
