// A plan as a person reads it, and as `--json` prints it.
import type { Plan, PlanPart } from "./plan.ts";

/** 2,503 MB, 12.4 GB. */
export function megabytes(bytes: number): string {
  const mb = bytes / 2 ** 20;
  return mb < 10_000 ? `${Math.round(mb).toLocaleString("en-US")} MB` : `${(mb / 1024).toFixed(1)} GB`;
}

/** 8.3 s, 7 min 29 s, 6 h 15 min. */
export function duration(seconds: number): string {
  if (seconds < 10) return `${seconds.toPrecision(2)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** One line for each part of the plan, and one for the whole. */
export function planText(plan: Plan): string {
  const lines = plan.parts.map((part) => `${part.phase}: ${partText(part)}`);
  const { peakBytes, totalSeconds } = planTotals(plan);
  const whole = [
    ...(peakBytes === null
      ? []
      : [`peak ${megabytes(peakBytes)} of ${megabytes(plan.limit.bytes)} (${plan.limit.source})`]),
    ...(totalSeconds === null ? [] : [`${duration(totalSeconds)} in all`]),
  ];
  return [...lines, ...(whole.length > 0 ? [`whole: ${whole.join(", ")}`] : [])].join("\n");
}

function partText(part: PlanPart): string {
  const { params, macs, load, epochs, stepsPerEpoch, peakBytes, times, duration: time } = part;
  const most = part.atMost ? "at most " : "";
  const micro = load.atOnce < load.batch ? ` in micro-batches of ${load.atOnce}` : "";
  const words = [
    `${most}${params.toLocaleString("en-US")} parameters`,
    ...(macs === null ? [] : [`${most}${(macs / 1e6).toFixed(1)} M multiply-adds`]),
    `${epochs} epochs of ${stepsPerEpoch} steps of ${load.batch} images${micro}`,
    peakBytes === null ? "memory of this device is not forecast" : `${most}${megabytes(peakBytes)} of memory`,
    ...(time
      ? [`${duration(time.step)} a step, ${duration(time.epoch)} an epoch, ${duration(time.total)}`]
      : []),
    ...(times > 1 ? [`${times} times`] : []),
  ];
  return words.join(" · ");
}

/** The largest peak, and the time of all parts; null where a part's is not known. */
export function planTotals({ parts }: Plan): { peakBytes: number | null; totalSeconds: number | null } {
  const known = <T>(values: readonly (T | null)[]) => values.every((value) => value !== null);
  const peaks = parts.map(({ peakBytes }) => peakBytes);
  const times = parts.map(({ duration: time, times }) => (time ? time.total * times : null));
  return {
    peakBytes: known(peaks) ? Math.max(...(peaks as number[])) : null,
    totalSeconds: known(times) ? (times as number[]).reduce((a, b) => a + b, 0) : null,
  };
}

/** The plan for machines: bytes and seconds, null where not known. */
export function planJson(plan: Plan): Readonly<Record<string, unknown>> {
  return {
    parts: plan.parts.map(({ duration: time = null, ...part }) => ({ ...part, seconds: time })),
    ...planTotals(plan),
    limit: plan.limit,
    residentBytes: plan.residentBytes,
  };
}
