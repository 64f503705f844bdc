// `darts check`: the user's own proof that this machine and this libtorch compute what the papers say.
import pc from "picocolors";
import type { Check } from "../../check/checks.ts";
import type { Command } from "../command.ts";

/** The command. */
export const check: Command = {
  name: "check",
  summary: "prove gradients, hyper-gradient, toy problem and published counts on this machine",
  async action() {
    const { runChecks } = await import("../../check/checks.ts");
    const checks = await runChecks();
    const failed = checks.filter(({ ok }) => !ok).length;
    const json = { passed: checks.length - failed, failed, checks };
    return { json, text: format(checks, failed), exitCode: failed ? 1 : 0 };
  },
};

function format(checks: readonly Check[], failed: number): string {
  const width = Math.max(...checks.map(({ name }) => name.length));
  const lines = checks.map(({ name, got, expected, tolerance, ok }) => {
    const mark = ok ? pc.green("ok  ") : pc.red("FAIL");
    return `${mark} ${name.padEnd(width)}  got ${got}, expected ${expected} (tolerance ${tolerance})`;
  });
  return [...lines, "", `${checks.length - failed} passed, ${failed} failed`].join("\n");
}
