import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { UserError } from "../../src/errors.ts";
import { countNetwork } from "../../src/genotype/counts.ts";
import type { Genotype } from "../../src/genotype/genotype.ts";
import { checkGenotype, formatJson, formatPython, parseGenotype } from "../../src/genotype/parse.ts";
import { findGenotype, PUBLISHED_GENOTYPES } from "../../src/genotype/published.ts";
import { randomGenotype } from "../../src/genotype/random.ts";
import { createGenerator } from "../../src/random/generator.ts";
import { PRIMITIVES } from "../../src/space/primitives.ts";
import { cell } from "./shorthand.ts";

const SMALL: Genotype = {
  normal: cell("s3,1 s3,0 | sk,2 d5,0"),
  normalConcat: [2, 3],
  reduce: cell("mp,0 mp,1"),
  reduceConcat: [2],
};
const EDGES = "normal=[('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('skip_connect', 2), ('dil_conv_5x5', 0)]";
const REDUCE = "reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1)]";
const SMALL_TEXT = `Genotype(${EDGES}, normal_concat=range(2, 4), ${REDUCE}, reduce_concat=[2])`;

const genotypes = fc
  .record({
    seed: fc.nat(),
    nodes: fc.integer({ min: 1, max: 8 }),
    kept: fc.oneof(fc.constant("every" as const), fc.integer({ min: 1, max: 12 })),
    normal: fc.nat(),
    reduce: fc.nat(),
  })
  .map(({ seed, nodes, kept, normal, reduce }) => {
    const genotype = randomGenotype(createGenerator(seed), {
      nodes,
      primitives: PRIMITIVES,
      kept,
      shared: true,
    });
    // Bits choose which nodes are concatenated; at least the last one is.
    const pick = (states: readonly number[], bits: number) => {
      const some = states.filter((_, i) => (bits >> i) & 1);
      return some.length > 0 ? some : states.slice(-1);
    };
    const { normalConcat, reduceConcat } = genotype;
    return {
      ...genotype,
      normalConcat: pick(normalConcat, normal),
      reduceConcat: pick(reduceConcat, reduce),
    };
  });

/** Parsing `text` fails with a UserError that says everything in `parts`. */
function assertRefused(text: string, ...parts: string[]): void {
  assert.throws(
    () => parseGenotype(text),
    (error) => {
      assert.ok(error instanceof UserError, String(error));
      for (const part of parts) assert.ok(error.message.includes(part), `${error.message} lacks ${part}`);
      return true;
    },
  );
}

test("the Python form reads back what it says", () => {
  assert.deepEqual(parseGenotype(SMALL_TEXT), SMALL);
  assert.equal(formatPython(SMALL), SMALL_TEXT);
});

test("names, log stamps, quotes, tuples, trailing commas and line breaks make no difference", () => {
  assert.deepEqual(parseGenotype(`SMALL = ${SMALL_TEXT}\n`), SMALL);
  assert.deepEqual(parseGenotype(`03/27 01:26:49 PM genotype = ${SMALL_TEXT}`), SMALL);
  assert.deepEqual(parseGenotype(SMALL_TEXT.replaceAll("'", '"')), SMALL);
  assert.deepEqual(parseGenotype(SMALL_TEXT.replaceAll(/\s+/g, "")), SMALL);
  const laidOut = SMALL_TEXT.replaceAll("[", "[\n\t").replaceAll("]", ",\n]").replace(/\)$/, ",\n)");
  assert.deepEqual(parseGenotype(laidOut), SMALL);
  assert.deepEqual(parseGenotype(SMALL_TEXT.replace("range(2, 4)", "(2, 3)").replace("[2]", "(2,)")), SMALL);
});

test("a missing concatenation is that of all nodes", () => {
  assert.deepEqual(parseGenotype(`Genotype(${EDGES}, ${REDUCE})`), SMALL);
});

test("the JSON form reads with either spelling of its keys", () => {
  assert.deepEqual(parseGenotype(JSON.stringify(SMALL)), SMALL);
  const snake = JSON.stringify(SMALL).replaceAll("Concat", "_concat");
  assert.deepEqual(parseGenotype(snake), SMALL);
  assert.deepEqual(checkGenotype(JSON.parse(formatJson(SMALL))), SMALL);
});

test("writing and reading a genotype gives the genotype", () => {
  fc.assert(
    fc.property(genotypes, (genotype) => {
      assert.deepEqual(parseGenotype(formatPython(genotype)), genotype);
      assert.deepEqual(parseGenotype(formatJson(genotype)), genotype);
    }),
  );
});

test("no text makes the reader fail with anything but a UserError", () => {
  const words = fc.constantFrom(
    "Genotype(",
    "normal",
    "=",
    "[",
    "]",
    "(",
    ")",
    ",",
    "'none'",
    "1",
    "range(",
    "{",
    ":",
    '"',
  );
  const texts = fc.array(words, { maxLength: 20 }).map((parts) => `Genotype(${parts.join("")}`);
  fc.assert(
    fc.property(fc.oneof(texts, fc.string()), (text) => {
      try {
        parseGenotype(text);
      } catch (error) {
        assert.ok(error instanceof UserError, String(error));
      }
    }),
  );
});

test("a misspelt operation is answered with the nearest known one", () => {
  assertRefused(
    SMALL_TEXT.replace("skip_connect", "skip_conect"),
    "normal[2]",
    '"skip_conect"',
    "did you mean skip_connect?",
  );
});

test("a predecessor that comes later than its node is refused", () => {
  assertRefused(
    SMALL_TEXT.replace("'skip_connect', 2", "'skip_connect', 3"),
    "normal[2]",
    "got the predecessor 3",
    "0 to 2",
  );
  assertRefused(SMALL_TEXT.replace("'sep_conv_3x3', 1", "'sep_conv_3x3', -1"), "normal[0]", "-1");
});

test("an odd number of edges is refused, and so are no edges", () => {
  assertRefused(
    SMALL_TEXT.replace(", ('max_pool_3x3', 1)", ""),
    "got 1 edges in reduce",
    "two for each node",
  );
  assertRefused("Genotype(normal=[], reduce=[])", "got 0 edges in normal");
});

test("a missing or unknown part is named", () => {
  assertRefused(`Genotype(${EDGES})`, "got nothing for reduce");
  assertRefused(
    SMALL_TEXT.replace("normal_concat", "normal_conact"),
    '"normal_conact"',
    "did you mean normal_concat?",
  );
});

test("a concatenation of states that are no nodes is refused", () => {
  for (const concat of ["range(2, 5)", "[1, 2]", "[]", "[2, 2]", "2"]) {
    assertRefused(SMALL_TEXT.replace("range(2, 4)", concat), "normal_concat", "2 to 3");
  }
});

test("a slip in the writing is reported with its line, its column and the word", () => {
  assertRefused("Genotype(\n  normal=[('none' 0)])", "line 2, column 19", 'got "0"', '"," or ")"');
  assertRefused("Genotype(normal=[('none', 0), ", "the end of the text", "a list");
  assertRefused(`${SMALL_TEXT} and more`, 'got "and"', "nothing more");
  assertRefused("Genotype(normal=[('none; 0)])", "line 1, column 19", "a quoted string");
  assertRefused("genotype", 'got "genotype"', "Genotype(normal=[…], …)");
  assertRefused(" ", "an empty text");
});

test("published genotypes are found by name in any case, DARTS being the second-order one", () => {
  assert.deepEqual(findGenotype("darts"), findGenotype("DARTS_V2"));
  assert.deepEqual(findGenotype("pc-darts-CIFAR"), findGenotype("PC_DARTS_cifar"));
  assert.deepEqual(findGenotype(SMALL_TEXT), SMALL);
});

test("a name that was not published is answered with the nearest one", () => {
  assert.throws(() => findGenotype("DARTS_V3"), /got the name "DARTS_V3".*did you mean DARTS_V/);
  assert.throws(() => findGenotype("DARTS_V3"), UserError);
});

test("DARTS_V1 is written as published", () => {
  const published =
    "DARTS_V1 = Genotype(normal=[('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('skip_connect', 0), " +
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('skip_connect', 2)], " +
    "normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), " +
    "('max_pool_3x3', 0), ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('avg_pool_3x3', 0)], " +
    "reduce_concat=[2, 3, 4, 5])";
  assert.deepEqual(findGenotype("DARTS_V1"), parseGenotype(published));
});

for (const { name, paper, genotype } of PUBLISHED_GENOTYPES) {
  test(`${name} is valid, survives both forms and names its paper`, () => {
    assert.deepEqual(checkGenotype(genotype), genotype);
    assert.deepEqual(parseGenotype(formatPython(genotype)), genotype);
    assert.deepEqual(parseGenotype(formatJson(genotype)), genotype);
    assert.match(paper, /^[A-Z].*20\d\d/);
    assert.ok(countNetwork(genotype, { channels: 36, cells: 20 }).params > 2e6);
  });
}
