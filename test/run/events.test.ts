// The event log: lines that are whole, a torn end that is survived, damage that is told.
import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import { type ErrorEvent, openEvents, readEvents } from "../../src/run/events.ts";

const folder = mkdtempSync(join(tmpdir(), "darts-events-"));
after(() => rmSync(folder, { recursive: true }));

let logs = 0;
const newLog = () => join(folder, `${logs++}.jsonl`);
const event = (message: string): ErrorEvent => ({ type: "error", message });

function write(path: string, messages: readonly string[]): void {
  const log = openEvents(path);
  for (const message of messages) log.append(event(message));
  log.close();
}

function messages(path: string): string[] {
  return readEvents(path).map((logged) => (logged as ErrorEvent).message);
}

test("events read back in order, each on a line of its own with the moment it was appended", () => {
  const path = newLog();
  write(path, ["a", "two\nlines", "Δ"]);
  write(path, ["later"]);
  assert.deepEqual(messages(path), ["a", "two\nlines", "Δ", "later"]);
  assert.equal(readFileSync(path, "utf8").split("\n").length, 5);
  for (const { time } of readEvents(path)) assert.ok(Math.abs(Date.now() - Date.parse(time)) < 60_000, time);
});

test("whatever a crash leaves of the last line, the lines before it and after a restart are kept", () => {
  fc.assert(
    fc.property(fc.nat(80), (kept) => {
      const path = newLog();
      write(path, ["before", "torn"]);
      const whole = readFileSync(path);
      const end = Math.min(whole.indexOf("\n") + 1 + kept, whole.length);
      writeFileSync(path, whole.subarray(0, end));
      const survived = messages(path);
      assert.ok(survived[0] === "before" && survived.length <= 2);
      write(path, ["after"]);
      assert.deepEqual(messages(path), [...survived, "after"]);
    }),
  );
});

test("a broken line that is not the last is an error with its number", () => {
  const path = newLog();
  write(path, ["a"]);
  appendFileSync(path, "{broken\n");
  write(path, ["b"]);
  assert.throws(() => readEvents(path), { name: "UserError", message: /\.jsonl:2: expected a JSON object/ });
});

test("a full disk is told as such", () => {
  assert.throws(() => write("/dev/full", ["a"]), {
    name: "UserError",
    message: /\/dev\/full: no space is left/,
  });
});

test("a missing log is a UserError, a closed one takes no more", () => {
  assert.throws(() => readEvents(join(folder, "none")), {
    name: "UserError",
    message: /expected an event log/,
  });
  const log = openEvents(newLog());
  log.close();
  log.close();
  assert.throws(() => log.append(event("late")), /is closed/);
});
