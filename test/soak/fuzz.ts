// The fuzzing of the suite with as many inputs for each reader as SOAK_INPUTS says, from the seed SOAK_SEED.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { fuzz } from "../fuzz/fuzz.ts";
import { fuzzFolder, targets } from "../fuzz/targets.ts";

const count = Number(process.env["SOAK_INPUTS"] ?? 50_000);
const seed = Number(process.env["SOAK_SEED"] ?? 1);
const { folder, remove } = fuzzFolder();
after(remove);

for (const { name } of targets(folder)) {
  test(`${count} damaged inputs of ${name} are read or refused with a sentence`, async (context) => {
    const { accepted, refused, slowest } = await fuzz(name, { seed, count });
    assert.equal(accepted + refused, count);
    context.diagnostic(
      `${accepted} read, ${refused} refused; slowest: input ${slowest.index}, ${slowest.ms.toFixed(0)} ms`,
    );
  });
}
