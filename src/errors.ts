/**
 * A mistake the user can mend: the message says what was got, what was expected and what to do.
 * The command line prints it without a stack trace and exits with code 2.
 */
export class UserError extends Error {
  override readonly name = "UserError";
}

/**
 * The {@link UserError} for an error of an allocation that failed, libtorch's or Node's, with what would help;
 * undefined for any other error.
 */
export function outOfMemory(error: unknown): UserError | undefined {
  if (!(error instanceof Error) || error instanceof UserError || !ALLOCATION_FAILED.test(error.message))
    return undefined;
  const bytes = /tried to allocate (\d+) bytes/.exec(error.message)?.[1];
  const more = bytes === undefined ? "" : `: ${(Number(bytes) / 1e9).toFixed(1)} GB more were asked for`;
  return new UserError(
    `The memory is used up${more}. Lower search.batchSize or train.batchSize, use fewer channels ` +
      "(search.channels, train.channels) or images (data.trainImages), or end other programs.",
    { cause: error },
  );
}

const ALLOCATION_FAILED =
  /can't allocate memory|out of memory|not enough memory|bad_alloc|allocation failed|Invalid typed array length/i;
