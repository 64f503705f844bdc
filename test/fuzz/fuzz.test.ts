// Ten thousand damaged inputs: each is read or refused with a sentence, in little time and memory. The soak test
// does the same with as many as it is told.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { fuzz } from "./fuzz.ts";
import { fuzzFolder, targets } from "./targets.ts";
import { inputOf } from "./worker.ts";

const { folder, remove } = fuzzFolder();
after(remove);
const SEED = 4;
const COUNT = 700;
const all = targets(folder);

test("there are at least ten thousand inputs, and the same seed makes the same ones", () => {
  assert.ok(all.length * COUNT >= 10_000, `${all.length} targets of ${COUNT}`);
  for (const target of all) assert.deepEqual(inputOf(target, SEED, 3), inputOf(target, SEED, 3));
});

for (const { name } of all) {
  test(`${COUNT} damaged inputs of ${name} are read or refused with a sentence`, async () => {
    const { accepted, refused } = await fuzz(name, { seed: SEED, count: COUNT });
    assert.equal(accepted + refused, COUNT);
    // A reader that takes everything, or nothing, was not tested.
    assert.ok(refused > COUNT / 50 || name === "manifest of the cache", `${refused} refused`);
    assert.ok(accepted > 0, "none accepted");
  });
}
