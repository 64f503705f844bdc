import assert from "node:assert/strict";
import { UserError } from "../../src/errors.ts";

/** The message of the UserError that `action` must throw. */
export function mistake(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    assert.ok(error instanceof UserError, String(error));
    return error.message;
  }
  return assert.fail("no error was thrown");
}
