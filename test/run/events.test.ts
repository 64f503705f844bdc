// The event log: lines that are whole, a torn end that is survived, damage that is told.
import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import { openPieces, piecePaths } from "../../src/run/event-pieces.ts";
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

test("a log goes on in pieces of a limited size, and reads as one, also after a restart and a crash between two", () => {
  const path = newLog();
  const all = Array.from({ length: 40 }, (_, i) => `message ${i}`);
  for (const part of [all.slice(0, 15), all.slice(15, 16), all.slice(16)]) {
    const log = openEvents(path, { pieceBytes: 500 });
    for (const message of part) log.append(event(message));
    log.close();
  }
  const pieces = piecePaths(path);
  assert.ok(pieces.length > 4 && pieces.at(-1) === path, String(pieces));
  for (const piece of pieces) assert.ok(readFileSync(piece).length <= 500);
  assert.deepEqual(messages(path), all);
  const last = messages(path).length - readFileSync(path, "utf8").trim().split("\n").length;
  rmSync(path); // as if the process had died before it made the next piece
  assert.deepEqual(messages(path), all.slice(0, last));
  write(path, ["after"]);
  assert.deepEqual(messages(path), [...all.slice(0, last), "after"]);
});

test("a log in pieces is cut at any place, and goes on from there", () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(12), { minLength: 1, maxLength: 30 }),
      fc.nat(),
      fc.integer({ min: 1, max: 20 }),
      (lengths, at, limit) => {
        const path = newLog();
        const bytes = Buffer.concat(
          lengths.map((length, i) => Buffer.from(`${String(i).padEnd(length, ".")}\n`)),
        );
        const pieces = openPieces(path, limit);
        for (const [i, length] of lengths.entries())
          pieces.append(Buffer.from(`${String(i).padEnd(length, ".")}\n`));
        assert.equal(pieces.size, bytes.length);
        const size = at % (bytes.length + 1);
        pieces.truncate(size);
        assert.equal(pieces.size, size);
        pieces.append(Buffer.from("end\n"));
        pieces.close();
        const read = Buffer.concat(piecePaths(path).map((piece) => readFileSync(piece)));
        assert.equal(read.toString(), `${bytes.subarray(0, size)}end\n`);
      },
    ),
  );
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
