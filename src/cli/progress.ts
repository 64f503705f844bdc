// Progress on stderr: a bar with the time left on a terminal, one plain line an epoch everywhere else.
import { createRequire } from "node:module";
import type { SingleBar } from "cli-progress";
import type { Progress, Reporter } from "../run/job.ts";

/** What a progress display is made from. */
export interface ProgressOptions {
  readonly title: string;
  /** Units of work in the whole. */
  readonly total: number;
  /** Units done before: the time left is judged by what is done since. */
  readonly before?: number | undefined;
  /** Draw a moving bar; without it, only plain lines. */
  readonly enabled: boolean;
}

/**
 * The reporter of the command line: logs and progress on stderr, a bar where stderr is a terminal. `close`
 * stops what an error left running: a bar's timer would keep the process alive.
 */
export function createReporter(): Reporter & { close(): void } {
  const enabled = process.stderr.isTTY === true && process.env["TERM"] !== "dumb";
  const running = new Set<Progress>();
  return {
    log(text) {
      // Over the bar's line, which the next update draws again below.
      process.stderr.write(`${running.size && enabled ? CLEAR_LINE : ""}${text}\n`);
    },
    progress(title, total, before) {
      const progress = createProgress({ title, total, before, enabled });
      running.add(progress);
      return {
        ...progress,
        stop() {
          if (running.delete(progress)) progress.stop();
        },
      };
    },
    close() {
      for (const progress of running) progress.stop();
      running.clear();
    },
  };
}

const BAR_WIDTH = 24;
const LEAST_WIDTH = 4;
const CLEAR_LINE = "\r\u001b[2K";

/** Starts a display; the time left is estimated from the mean speed so far. */
export function createProgress({ title, total, before = 0, enabled }: ProgressOptions): Progress {
  const started = performance.now();
  let done = before;
  const left = () => {
    const seconds = (performance.now() - started) / 1000;
    if (done === total) return formatSeconds(0);
    return done > before ? formatSeconds((seconds / (done - before)) * (total - done)) : "?";
  };
  const bar = enabled ? createBar(title) : undefined;
  bar?.start(total, before, { figures: "", left: "?" });
  return {
    update(now, fields = {}) {
      done = now;
      bar?.update(now, { figures: formatFields(fields), left: left() });
    },
    line(text) {
      if (!bar) {
        const share = total > 0 ? Math.floor((100 * done) / total) : 100;
        process.stderr.write(`${title}: ${text} · ${share} %, ${left()} left\n`);
        return;
      }
      // Clears the bar's line and writes over it; the next update draws the bar again below.
      process.stderr.write(`${CLEAR_LINE}${title}: ${text}\n`);
    },
    stop() {
      bar?.stop();
    },
  };
}

/** Seconds in words: 42 s, 3 min 20 s, 2 h 05 min. */
export function formatSeconds(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const two = (number: number) => String(number).padStart(2, "0");
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
}

/** Fields in a row; fractions to four digits, so that a loss does not dance in width. */
function formatFields(fields: Readonly<Record<string, string | number>>): string {
  const show = (value: string | number) =>
    typeof value === "number" && !Number.isInteger(value) ? value.toPrecision(4) : String(value);
  return Object.entries(fields)
    .map(([name, value]) => `${name} ${show(value)}`)
    .join(" · ");
}

/**
 * Loaded here and not at the top: most commands never draw a bar. The line is cut to the terminal's width
 * instead of switching line wrapping off, which an interrupted run would leave switched off.
 */
function createBar(title: string): SingleBar {
  const { SingleBar: Bar } = createRequire(import.meta.url)("cli-progress") as typeof import("cli-progress");
  return new Bar({
    format(_, { progress }, { left, figures }: { left: string; figures: string }) {
      const room = (process.stderr.columns || 80) - 1;
      const time = `${Math.floor(100 * progress)} % · ${left} left`;
      // In a narrow terminal the bar gives way first, then the figures: the time left is what is looked for.
      const width = Math.max(LEAST_WIDTH, Math.min(BAR_WIDTH, room - title.length - time.length - 2));
      const full = Math.round(width * Math.min(1, progress));
      return `${title} ${"█".repeat(full)}${"░".repeat(width - full)} ${time} · ${figures}`.slice(0, room);
    },
    stream: process.stderr,
    linewrap: true,
    fps: 5,
  });
}
