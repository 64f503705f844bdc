// Ctrl-C and its kin: the first asks the work to stop after its step, the second leaves at once.
import { constants } from "node:os";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** What the process was told. */
export interface CaughtSignals {
  /** Aborted by the first signal; its reason is that signal's name. */
  readonly signal: AbortSignal;
  /** Gives the signals their own effect back. */
  stop(): void;
}

/** Catches the signals that end a process; `say` tells the user what happens now, `first` what the first one does. */
export function catchSignals(
  say: (line: string) => void,
  first = "finishing the step and saving",
): CaughtSignals {
  const controller = new AbortController();
  const caught = (name: NodeJS.Signals) => {
    if (name === "SIGHUP") endBySignal();
    if (controller.signal.aborted) process.exit(signalExitCode(name));
    controller.abort(name);
    say(`${name}: ${first}. Once more leaves at once.`);
  };
  for (const name of SIGNALS) process.on(name, caught);
  return {
    signal: controller.signal,
    stop() {
      for (const name of SIGNALS) process.off(name, caught);
    },
  };
}

/**
 * Node ends by an abort (and a core dump) when its terminal is gone, because it cannot set that back. So a process that
 * had one ends by the signal itself, once all is saved: to a shell the same.
 */
function endBySignal(): void {
  if (![process.stdin, process.stdout, process.stderr].some(({ isTTY }) => isTTY)) return;
  process.once("exit", () => {
    process.removeAllListeners("SIGHUP");
    process.kill(process.pid, "SIGHUP");
  });
}

/** 128 and the signal's number, as shells say it: 130 for SIGINT. */
export function signalExitCode(name: string): number {
  return 128 + (constants.signals[name as NodeJS.Signals] ?? 0);
}
