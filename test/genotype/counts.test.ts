// The oracle: sizes of the published networks, taken from their papers and from the module definitions.
import assert from "node:assert/strict";
import { test } from "node:test";
import { countAuxiliary, countNetwork, countSupernet, type NetworkShape } from "../../src/genotype/counts.ts";
import { findGenotype } from "../../src/genotype/published.ts";
import { DARTS_PRIMITIVES, type Primitive } from "../../src/space/primitives.ts";

const CIFAR = { channels: 36, cells: 20 };
const IMAGENET = { channels: 48, cells: 14, classes: 1000, imageSize: 224, stem: "imagenet" } as const;
const SUPERNET = { channels: 16, cells: 8, primitives: DARTS_PRIMITIVES };

const millions = (count: number) => (count / 1e6).toFixed(2);

// [name, CIFAR-10 body, with auxiliary head, MACs, ImageNet body, MACs]
const PUBLISHED = [
  ["DARTS_V1", 3_169_414, 3_645_840, "500.99", 4_510_432, "505.86"],
  ["DARTS_V2", 3_349_342, 3_825_768, "528.36", 4_718_752, "529.91"],
  ["PC_DARTS_cifar", 3_634_678, 4_111_104, "556.67", 5_270_560, "571.14"],
  ["PDARTS", 3_433_798, 3_910_224, "532.17", 4_944_352, "542.82"],
  ["GDAS_V1", 3_368_782, 3_845_208, "519.43", 4_969_216, "537.60"],
  ["SNAS_mild", 2_661_382, 3_137_808, "422.22", 3_939_328, "438.04"],
  ["DrNAS_cifar10", 4_099_294, 4_575_720, "635.14", 5_738_464, "633.83"],
  ["SGAS_Cri1_CIFAR_1", 3_750_238, 4_226_664, "589.71", 5_247_040, "586.84"],
  ["NASNet", 3_830_950, 4_288_944, "603.45", 5_564_320, "604.03"],
] as const;

for (const [name, params, paramsWithAux, macs, imagenetParams, imagenetMacs] of PUBLISHED) {
  test(`${name} has its published size on CIFAR-10 and on ImageNet`, () => {
    const cifar = countNetwork(findGenotype(name), CIFAR);
    const imagenet = countNetwork(findGenotype(name), IMAGENET);
    assert.equal(cifar.params, params);
    assert.equal(cifar.paramsWithAux, paramsWithAux);
    assert.equal(millions(cifar.macs), macs);
    assert.equal(imagenet.params, imagenetParams);
    assert.equal(millions(imagenet.macs), imagenetMacs);
  });
}

test("cells without an exact oracle have the sizes that their papers round to", () => {
  const size = (name: string, shape: NetworkShape) =>
    (countNetwork(findGenotype(name), shape).params / 1e6).toFixed(1);
  assert.equal(size("SNAS_moderate", CIFAR), "2.8");
  assert.equal(size("SNAS_moderate", IMAGENET), "4.3");
  assert.equal(size("SGAS_Cri2_CIFAR_1", CIFAR), "4.1");
  assert.equal(size("PC_DARTS_image", IMAGENET), "5.3");
});

test("networks of other widths and class counts have their known sizes", () => {
  assert.equal(countNetwork(findGenotype("GDAS_V1"), { ...IMAGENET, channels: 50 }).params, 5_345_075);
  assert.equal(countNetwork(findGenotype("DARTS_V2"), { ...CIFAR, classes: 100 }).params, 3_401_272);
  const small = countNetwork(findGenotype("DARTS_V2"), { channels: 16, cells: 8 });
  assert.equal(small.params, 246_106);
  assert.equal(small.paramsWithAux - small.params, 435_466);
});

test("the auxiliary head has its known size, without the second batch norm on ImageNet", () => {
  assert.equal(countAuxiliary(576, 10, "cifar"), 476_426);
  assert.equal(countAuxiliary(768, 1000, "imagenet"), 1_260_776);
});

test("the supernet of DARTS has its known size, part by part", () => {
  const supernet = countSupernet(SUPERNET);
  assert.equal(supernet.params, 1_930_618);
  assert.equal(supernet.stem.params, 1392);
  assert.deepEqual(
    supernet.cells.map(({ params }) => params),
    [
      1536 + 44_352,
      1792 + 44_352,
      4096 + 139_904,
      6144 + 131_712,
      8192 + 131_712,
      16_384 + 468_224,
      24_576 + 435_456,
      32_768 + 435_456,
    ],
  );
  assert.equal(supernet.classifier.params, 2570);
  assert.equal(countSupernet({ ...SUPERNET, classes: 100 }).params, 1_953_748);
});

test("PC-DARTS shrinks the supernet by its partial channels", () => {
  assert.equal(countSupernet({ ...SUPERNET, partialChannels: 4 }).params, 299_578);
  assert.equal(countSupernet({ ...SUPERNET, partialChannels: 2 }).params, 671_482);
  const imagenet = { ...SUPERNET, partialChannels: 2, classes: 1000, stem: "imagenet" } as const;
  assert.equal(countSupernet(imagenet).params, 926_736);
});

test("deeper supernets have their known sizes", () => {
  assert.equal(countSupernet({ ...SUPERNET, channels: 6, cells: 20 }).params, 897_640);
  for (const [cells, params] of [
    [5, 1_275_834],
    [11, 2_585_146],
    [17, 3_894_202],
  ] as const) {
    assert.equal(countSupernet({ ...SUPERNET, cells }).params, params);
  }
});

test("each operation has its known size without affine batch norms", () => {
  // Two supernets that differ by one operation differ by 14 of it in the one normal cell between stem and head.
  const known: [Primitive, number, number, number][] = [
    ["sep_conv_3x3", 800, 2624, 9344],
    ["sep_conv_5x5", 1312, 3648, 11_392],
    ["dil_conv_3x3", 400, 1312, 4672],
    ["dil_conv_5x5", 656, 1824, 5696],
    ["skip_connect", 0, 0, 0],
    ["max_pool_3x3", 0, 0, 0],
    ["none", 0, 0, 0],
  ];
  for (const [op, ...sizes] of known) {
    for (const [i, channels] of [16, 32, 64].entries()) {
      const count = (primitives: Primitive[]) =>
        countSupernet({ channels, cells: 3, primitives }).cells[0]!.params;
      assert.equal(count(["none", op]) - count(["none"]), 14 * sizes[i]!, `${op} at ${channels} channels`);
    }
  }
});

test("a skip connection costs a factorized reduction on the eight edges of stride 2", () => {
  const count = (primitives: Primitive[]) =>
    countSupernet({ channels: 8, cells: 3, primitives }).cells[1]!.params;
  assert.equal(count(["none", "skip_connect"]) - count(["none"]), 8 * 256);
});

test("cells have the published widths and sides", () => {
  const { cells } = countNetwork(findGenotype("DARTS"), CIFAR);
  assert.equal(cells.length, 20);
  assert.deepEqual(
    cells.flatMap(({ reduction }, index) => (reduction ? [index] : [])),
    [6, 13],
  );
  assert.deepEqual([cells[5]!.outputChannels, cells[5]!.size], [144, [32, 32]]);
  assert.deepEqual([cells[6]!.outputChannels, cells[6]!.size], [288, [16, 16]]);
  assert.deepEqual([cells[13]!.outputChannels, cells[13]!.size], [576, [8, 8]]);
  assert.deepEqual(
    countSupernet(SUPERNET).cells.map(({ outputChannels, size }) => `${outputChannels}@${size[0]}`),
    ["64@32", "64@32", "128@16", "128@16", "128@16", "256@8", "256@8", "256@8"],
  );
});

test("odd sides are halved upwards", () => {
  const { cells } = countNetwork(findGenotype("DARTS"), { channels: 4, cells: 3, imageSize: 29 });
  assert.deepEqual(
    cells.map(({ size }) => size),
    [29, 15, 8].map((side) => [side, side]),
  );
});

test("an image twice as wide costs twice as much in every cell, and no more weights", () => {
  const shape = { channels: 4, cells: 3 };
  const square = countNetwork(findGenotype("DARTS"), { ...shape, imageSize: 32 });
  const wide = countNetwork(findGenotype("DARTS"), { ...shape, imageSize: [32, 64] });
  assert.equal(wide.params, square.params);
  assert.deepEqual(
    wide.cells.map(({ macs, size }) => [macs, size]),
    square.cells.map(({ macs, size: [height, width] }) => [2 * macs, [height, 2 * width]]),
  );
});

test("wider images and fewer input channels change only what reads them", () => {
  const shape = { channels: 4, cells: 3 };
  const colour = countNetwork(findGenotype("DARTS"), { ...shape, imageSize: 28 });
  const grey = countNetwork(findGenotype("DARTS"), { ...shape, imageSize: 28, imageChannels: 1 });
  assert.equal(colour.params - grey.params, 2 * 9 * 12);
  assert.equal(colour.macs - grey.macs, 2 * 9 * 12 * 28 * 28);
  assert.equal(countNetwork(findGenotype("DARTS"), shape).params, colour.params);
});
