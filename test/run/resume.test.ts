// Jobs as a library: told to stop by an AbortSignal at any turn, also within a validation or a measurement, and resumed.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { resolveConfig } from "../../src/config/load.ts";
import type { LoggedEvent } from "../../src/run/events.ts";
import { readEvents, withoutMeasured } from "../../src/run/events.ts";
import { Interruption } from "../../src/run/interruption.ts";
import type { JobOptions, Reporter } from "../../src/run/job.ts";
import { resumeCommand, runCommand } from "../../src/run/jobs.ts";
import { liveTensors } from "../../src/tensor/runtime.ts";
import { assertSameRun, RUN, writeTinyProblem } from "../support/killing.ts";

const root = mkdtempSync(join(tmpdir(), "darts-resume-"));
const home = process.cwd();
after(() => {
  process.chdir(home);
  rmSync(root, { recursive: true });
});

const place = { root: "runs", name: "it", preset: undefined };
const config = (flags: Readonly<Record<string, string>> = {}) =>
  resolveConfig({ file: join(root, "tiny.yaml"), flags });

/** A reporter that hears when the work begins, and keeps what is said. */
function listening(begins: () => void = () => {}): Reporter & { readonly lines: string[] } {
  const lines: string[] = [];
  return {
    lines,
    log: (line) => void lines.push(line),
    progress() {
      begins();
      return { update() {}, line() {}, stop() {} };
    },
  };
}

/** Options under which the work is told to stop `turns` turns of the event loop after it has begun. */
function stopAfter(turns: number): JobOptions {
  const controller = new AbortController();
  let counting = false;
  const count = (left: number): void => {
    if (left === 0) controller.abort("test");
    else setImmediate(() => count(left - 1));
  };
  const reporter = listening(() => {
    if (!counting) count(turns);
    counting = true;
  });
  return { reporter, signal: controller.signal };
}

function enter(name: string): string {
  const folder = join(root, name);
  mkdirSync(folder);
  process.chdir(folder);
  return folder;
}

let reference: string;
before(async () => {
  writeTinyProblem(root);
  reference = enter("reference");
  await runCommand(config(), { ...place, reporter: listening() });
});

for (const [turns, storage] of [
  [0, "fp32"],
  [5, "fp32"],
  [13, "fp32"],
  [34, "fp32"],
  [5, "bf16"],
] as const) {
  test(`a run that is stopped every ${turns} turns and stores ${storage} comes to the same bytes`, async () => {
    let uninterrupted = reference;
    if (storage === "bf16") {
      uninterrupted = enter("rounded");
      await runCommand(config({ storage }), { ...place, reporter: listening() });
    }
    const folder = enter(`turns-${turns}-${storage}`);
    const alive = liveTensors();
    let stops = 0;
    const go = () =>
      stops === 0
        ? runCommand(config({ storage }), { ...place, ...stopAfter(turns) })
        : resumeCommand(
            "run",
            {},
            { run: RUN, ...(stops < 12 ? stopAfter(turns) : { reporter: listening() }) },
          );
    for (;;) {
      try {
        await go();
        break;
      } catch (error) {
        assert.ok(error instanceof Interruption, String(error));
        assert.deepEqual([error.run, error.cause], [RUN, "test"]);
        assert.equal(liveTensors(), alive, "an interrupted job leaves no tensor");
        stops++;
      }
    }
    assert.ok(stops > 1, `${stops} stops`);
    assertSameRun(folder, uninterrupted);
  });
}

test("a listener hears every event as the log has it", async () => {
  enter("listener");
  const heard: LoggedEvent[] = [];
  await runCommand(config(), { ...place, reporter: listening(), onEvent: (event) => heard.push(event) });
  assert.deepEqual(JSON.parse(JSON.stringify(heard)), readEvents(join(RUN, "events.jsonl")));
  assert.deepEqual(withoutMeasured(heard), withoutMeasured(readEvents(join(reference, RUN, "events.jsonl"))));
});

test("a signal that was aborted before stops a job before it makes a folder", async () => {
  enter("early");
  const options = { ...place, reporter: listening(), signal: AbortSignal.abort("early") };
  await assert.rejects(runCommand(config(), options), (error) => {
    assert.ok(error instanceof Interruption);
    return error.run === undefined && error.cause === "early";
  });
});

test("going on with another number of threads is told", async () => {
  enter("threads");
  await assert.rejects(runCommand(config(), { ...place, ...stopAfter(3) }), Interruption);
  const reporter = listening();
  const sources = { flags: { threads: 2 } };
  await assert.rejects(
    resumeCommand("run", sources, { run: RUN, ...stopAfter(0), reporter, signal: AbortSignal.abort() }),
    Interruption,
  );
  await resumeCommand("run", sources, { run: RUN, reporter });
  assert.ok(reporter.lines.some((line) => /ran on 1 threads and goes on on 2/.test(line)));
});
