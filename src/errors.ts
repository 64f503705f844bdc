/**
 * A mistake the user can mend: the message says what was got, what was expected and what to do.
 * The command line prints it without a stack trace and exits with code 2.
 */
export class UserError extends Error {
  override readonly name = "UserError";
}
