// Tests that touch tensors: on one thread, in a scope, and with as many tensors alive afterwards as before.
import assert from "node:assert/strict";
import { liveTensors, setThreads } from "../../src/tensor/runtime.ts";
import { scope } from "../../src/tensor/scope.ts";

/** The body of a test, run in a scope of its own; fails when it leaves a tensor alive. */
export function leakFree(body: () => void): () => void {
  return counted(() => scope(body));
}

/** The same without the scope: for tests of what happens outside of any. */
export function counted(body: () => void): () => void {
  return () => {
    setThreads(1); // two threads on a busy machine can be a hundred times slower than one
    const before = liveTensors();
    body();
    assert.equal(liveTensors() - before, 0, "tensors left alive");
  };
}
