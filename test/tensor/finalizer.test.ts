// The net below scopes: handles that nobody reaches any more free their tensors, and big ones soon.
// Each case runs in a process of its own, whose memory is the child's alone.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";

const module = (name: string) => JSON.stringify(new URL(`../../src/tensor/${name}.js`, import.meta.url).href);

/** Runs an async function body in a child process; returns what it returns. */
function inChild(body: string, flags: readonly string[] = []): Record<string, number> {
  const script = `
    import { liveTensors, setThreads } from ${module("runtime")};
    import { exchange } from ${module("scope")};
    import { full, zeros } from ${module("tensor")};
    setThreads(1);
    const nextTurn = () => new Promise((resolve) => setImmediate(resolve));
    const result = await (async () => { ${body} })();
    console.log(JSON.stringify(result));`;
  const child = spawnSync(process.execPath, [...flags, "--input-type=module", "-e", script], {
    encoding: "utf8",
    timeout: 120_000,
  });
  assert.equal(child.status, 0, child.stderr);
  return JSON.parse(child.stdout);
}

test("dropped handles are freed by the garbage collector", () => {
  const { before, made, after } = inChild(
    `const before = liveTensors();
     for (let i = 0; i < 100; i++) zeros([10]);
     const made = liveTensors() - before;
     for (let i = 0; i < 5; i++) { globalThis.gc(); await nextTurn(); }
     return { before, made, after: liveTensors() };`,
    ["--expose-gc"],
  );
  assert.equal(made, 100);
  assert.equal(after, before);
});

test("after an exchange the garbage collector frees what a dropped handle stands for then", () => {
  const { sum, freed } = inChild(
    `const [a, b] = [full([1], 1), full([1], 2)];
     (() => { exchange(a, full([1], 10)); exchange(full([1], 20), b); })(); // those dropped now stand for 1 and 2
     const before = liveTensors();
     for (let i = 0; i < 5; i++) { globalThis.gc(); await nextTurn(); }
     return { sum: a.item() + b.item(), freed: before - liveTensors() };`,
    ["--expose-gc"],
  );
  assert.equal(sum, 30);
  assert.equal(freed, 2);
});

test("memory stays flat over 2,000 tensors of 4 MB that are dropped between awaits", () => {
  const { growth, live } = inChild(
    `zeros([1 << 20]); await nextTurn();
     const start = process.memoryUsage().rss;
     let largest = 0;
     for (let i = 0; i < 2000; i++) {
       zeros([1 << 20]);
       await nextTurn();
       if (i % 20 === 0) largest = Math.max(largest, process.memoryUsage().rss);
     }
     return { growth: (largest - start) / 2 ** 20, live: liveTensors() };`,
  );
  assert.ok(growth < 600, `the resident set grew by ${growth} MB; the tensors made are 8,000 MB`);
  assert.ok(live < 300, `${live} of 2,000 tensors are still alive`);
});
