// A run that was told to stop: by an AbortSignal, which the command line pulls on Ctrl-C.

/** Thrown by a job whose signal was aborted, after what it had done was saved. */
export class Interruption extends Error {
  override readonly name = "Interruption";
  /** The folder that the run goes on from; undefined when it had not begun, and then nothing is lost. */
  readonly run: string | undefined;

  constructor(run: string | undefined, reason: unknown) {
    super(
      run === undefined ? "Interrupted before anything was begun." : `Interrupted; ${run} can be resumed.`,
      {
        cause: reason,
      },
    );
    this.run = run;
  }
}

/** Lets timers, signals and the progress display have their turn; whether the work was told to stop by now. */
export async function isTold(signal: AbortSignal | undefined): Promise<boolean> {
  await new Promise((resolve) => setImmediate(resolve));
  return signal?.aborted ?? false;
}
