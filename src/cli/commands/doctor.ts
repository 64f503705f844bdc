// `darts doctor`: whether libtorch is found and works, and what to do when it does not.
import pc from "picocolors";
import type { Diagnosis } from "../../native/doctor.ts";
import type { Command } from "../command.ts";

/** The command. */
export const doctor: Command = {
  name: "doctor",
  summary: "verify libtorch: version, place, ABI, devices, threads",
  async action() {
    const { diagnose } = await import("../../native/doctor.ts");
    const diagnosis = await diagnose();
    return { json: diagnosis, text: format(diagnosis), exitCode: diagnosis.ok ? 0 : 2 };
  },
};

function format({ ok, libtorch, devices, threads, kernels, problems }: Diagnosis): string {
  const rows: [string, string][] = [
    ["libtorch", libtorch ? `${libtorch.version} (${libtorch.source})` : "not found"],
    ...(libtorch
      ? ([
          ["place", libtorch.path],
          ["ABI", String(libtorch.abi)],
        ] as [string, string][])
      : []),
    ["devices", devices.join(", ") || "none"],
    ["threads", String(threads)],
    ["kernels", kernels ?? "none"],
    ["node", `${process.version} on ${process.platform} ${process.arch}`],
  ];
  const lines = rows.map(([name, value]) => `${name.padEnd(9)} ${value}`);
  const verdict = ok ? pc.green("Everything works.") : pc.red("Something is wrong:");
  return [...lines, "", verdict, ...problems.map((problem) => `- ${problem}`)].join("\n");
}
