import assert from "node:assert/strict";
import { test } from "node:test";
import { cellDot, drawCellSvg, drawCellText, opColour } from "../../src/genotype/draw.ts";
import { edgesOfCell } from "../../src/genotype/genotype.ts";
import { findGenotype, PUBLISHED_GENOTYPES } from "../../src/genotype/published.ts";
import { PRIMITIVES } from "../../src/space/primitives.ts";

const { normal, normalConcat, reduce, reduceConcat } = findGenotype("DARTS_V2");

test("the terminal drawing shows each node as the sum of its two operations", () => {
  assert.equal(
    drawCellText(reduce, reduceConcat, { colour: false }),
    [
      "node 0 = max_pool_3x3(c_{k-2}) + max_pool_3x3(c_{k-1})",
      "node 1 = skip_connect(node 0)  + max_pool_3x3(c_{k-1})",
      "node 2 = max_pool_3x3(c_{k-2}) + skip_connect(node 0)",
      "node 3 = skip_connect(node 0)  + max_pool_3x3(c_{k-1})",
      "c_{k}  = concat(node 0, node 1, node 2, node 3)",
    ].join("\n"),
  );
});

test("colours change nothing but the colour", () => {
  const painted = drawCellText(normal, normalConcat, { colour: true });
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character is what starts a colour
  const plain = painted.replaceAll(/\x1b\[\d+m/g, "");
  assert.notEqual(painted, plain);
  assert.equal(plain, drawCellText(normal, normalConcat, { colour: false }));
});

test("the picture has every operation as an arrow, every node, and an explicit background", async () => {
  const svg = await drawCellSvg(normal, normalConcat, "normal cell");
  const count = (pattern: RegExp) => svg.match(pattern)?.length ?? 0;
  assert.match(svg, /^<svg [\s\S]*<\/svg>\n$/);
  assert.equal(count(/class="node"/g), 2 + 4 + 1);
  assert.equal(count(/class="edge"/g), 8 + 4);
  assert.equal(count(/> sep_conv_3x3 </g), 5);
  assert.equal(count(/> skip_connect </g), 2);
  assert.equal(count(/> dil_conv_3x3 </g), 1);
  assert.match(svg, /<polygon fill="white"/);
  assert.match(svg, />normal cell</);
  assert.doesNotMatch(svg, / id=|<!--|<\?xml/);
});

test("the same cell is always drawn the same way", async () => {
  assert.equal(await drawCellSvg(normal, normalConcat, "a"), await drawCellSvg(normal, normalConcat, "a"));
});

test("a title may hold any character", async () => {
  const svg = await drawCellSvg(normal, normalConcat, 'a "quoted" \\ & <b> title');
  assert.match(svg, />a &quot;quoted&quot; \\ &amp; &lt;b&gt; title</);
});

test("every published cell can be drawn", async () => {
  for (const { name, genotype } of PUBLISHED_GENOTYPES) {
    const arrows = edgesOfCell(genotype.reduce).length + genotype.reduceConcat.length;
    const svg = await drawCellSvg(genotype.reduce, genotype.reduceConcat, name);
    assert.equal(svg.match(/class="edge"/g)?.length, arrows, name);
  }
});

test("only the concatenated nodes lead to the output", () => {
  const { reduce: edges, reduceConcat: concat } = findGenotype("NASNet");
  assert.equal(cellDot(edges, concat).match(/-> out/g)?.length, 3);
});

test("every operation has a colour that reads well on white", () => {
  for (const op of PRIMITIVES) {
    const [r, g, b] = opColour(op)
      .match(/[0-9a-f]{2}/g)!
      .map((hex) => Number.parseInt(hex, 16) / 255)
      .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    const luminance = 0.2126 * r! + 0.7152 * g! + 0.0722 * b!;
    assert.ok(1.05 / (luminance + 0.05) >= 4.5, `${op}: contrast below 4.5 (WCAG 2.1, 1.4.3)`);
  }
});
