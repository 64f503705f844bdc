// The commands that need no libtorch: show, presets, data. Numbers are the published counts.
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { parse } from "yaml";
import { resolveConfig } from "../../src/config/load.ts";
import { allPresets } from "../../src/config/presets.ts";
import { commandLine } from "./command-line.ts";

const { folder, darts, remove } = commandLine();
after(remove);

/** The one object that `--json` prints: the whole of stdout, on one line. */
function json(args: readonly string[], options?: Parameters<typeof darts>[1]): Record<string, unknown> {
  const { code, stdout, stderr } = darts([...args, "--json"], options);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^\{[^\n]*\}\n$/);
  return JSON.parse(stdout) as Record<string, unknown>;
}

test("show counts the published cell as its paper does, on CIFAR-10 and on ImageNet", () => {
  const cifar = json(["show", "DARTS_V2"]);
  assert.deepEqual(Object.keys(cifar), ["network", "normal", "reduce", "params", "paramsWithAux", "macs"]);
  assert.equal(cifar["params"], 3_349_342);
  assert.equal(cifar["paramsWithAux"], 3_825_768);
  assert.deepEqual((cifar["normal"] as unknown[])[7], ["dil_conv_3x3", 2]);
  assert.equal(json(["show", "DARTS_V2", "--imagenet"])["params"], 4_718_752);
  assert.equal(existsSync(join(folder, "DARTS_V2-normal.svg")), false, "nothing is drawn for a machine");
});

test("show counts a cell of NAS-Bench-201 in that benchmark's network: its table's smallest and largest sizes", () => {
  const all = (op: string) => `|${op}~0|+|${op}~0|${op}~1|+|${op}~0|${op}~1|${op}~2|`;
  const [smallest, largest] = ["none", "nor_conv_3x3"].map(all) as [string, string];
  const { params, network } = json(["show", largest]);
  assert.deepEqual([params, network], [1_531_546, { channels: 16, cells: 17, classes: 10 }]);
  assert.equal(json(["show", smallest])["params"], 73_306);
  assert.equal(json(["show", largest, "--classes", "100"])["params"], 1_537_396);
  assert.match(darts(["show", largest]).stdout, /network +17 cells of 16 channels, 10 classes/);
  assert.equal((json(["show", largest, "--cells", "5"])["network"] as { cells: number }).cells, 5);
});

test("show takes the shape of the network from its options", () => {
  const small = json(["show", "DARTS_V2", "--channels", "8", "--cells", "5", "--classes", "100"]);
  assert.ok((small["params"] as number) < 200_000);
});

test("show reads a name, a file, a run folder and standard input alike", () => {
  const python =
    "Genotype(normal=[('sep_conv_3x3', 0), ('skip_connect', 1)], normal_concat=[2], " +
    "reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1)], reduce_concat=[2])";
  const text = JSON.stringify({
    normal: [
      ["sep_conv_3x3", 0],
      ["skip_connect", 1],
    ],
    normalConcat: [2],
    reduce: [
      ["max_pool_3x3", 0],
      ["max_pool_3x3", 1],
    ],
    reduceConcat: [2],
  });
  writeFileSync(join(folder, "cell.txt"), python);
  writeFileSync(join(folder, "cell.json"), text);
  mkdirSync(join(folder, "run"));
  writeFileSync(join(folder, "run", "genotype.json"), text);
  const expected = json(["show", python]);
  assert.deepEqual(expected["normal"], [
    ["sep_conv_3x3", 0],
    ["skip_connect", 1],
  ]);
  for (const source of ["cell.txt", "cell.json", "run"])
    assert.deepEqual(json(["show", source]), expected, source);
  assert.deepEqual(json(["show", "-"], { input: python }), expected);
});

test("show draws both cells into files and the terminal", () => {
  const { code, stdout } = darts(["show", "DARTS_V2", "--out", "drawings"]);
  assert.equal(code, 0);
  for (const cell of ["normal", "reduce"]) {
    const file = join("drawings", `DARTS_V2-${cell}.svg`);
    assert.ok(stdout.includes(file));
    assert.match(readFileSync(join(folder, file), "utf8"), /<svg.*(sep_conv_3x3|max_pool_3x3)/s);
  }
  assert.match(stdout, /dil_conv_3x3/);
  assert.match(stdout, /3,349,342 \(3,825,768 with the auxiliary head\)/);
});

const GENOTYPE_MISTAKES: readonly (readonly [args: readonly string[], input: string, message: RegExp])[] = [
  [["DARTS_V3"], "", /got the name "DARTS_V3".*did you mean DARTS_V[12]\?/],
  [["-"], "", /an empty text/],
  [["-"], "Genotype(normal=[('sep_conv_3x4', 0)])", /genotype: /],
  [["DARTS_V2", "--cells", "many"], "", /--cells: expected a whole number, at least 1, got "many"/],
  [["empty"], "", /empty\/genotype\.json: there is no such file/],
];

for (const [args, input, message] of GENOTYPE_MISTAKES) {
  test(`show ${args.join(" ")} ${JSON.stringify(input)} is refused with a sentence`, () => {
    mkdirSync(join(folder, "empty"), { recursive: true });
    const { code, stdout, stderr } = darts(["show", ...args, "--json"], { input });
    assert.match(stderr, message);
    assert.doesNotMatch(stderr, /^\s+at /m);
    assert.deepEqual({ code, stdout }, { code: 2, stdout: "" });
  });
}

test("presets lists them, and prints one as a file that --config takes", () => {
  assert.match(
    darts(["presets"]).stdout,
    /^quick +.*\npaper +.*\ncode +.*\nimagenet +.*\nimagenet-pc-darts +.*\n(.*\n)*gdas +.*\n/,
  );
  const { stdout } = darts(["presets", "quick"]);
  assert.deepEqual(parse(stdout), resolveConfig({ preset: "quick" }));
  assert.match(stdout, /^ {2}epochs: \d+ # paper: 50$/m);
});

test("presets --json gives the configuration and its differences from the paper", () => {
  assert.deepEqual(
    (json(["presets"])["presets"] as { name: string }[]).map(({ name }) => name),
    Object.keys(allPresets()),
  );
  const quick = json(["presets", "quick"]);
  assert.deepEqual(quick["config"], resolveConfig({ preset: "quick" }));
  const differences = quick["differences"] as { key: string; reference: unknown }[];
  assert.equal(differences.find(({ key }) => key === "search.epochs")?.reference, 50);
  assert.deepEqual(json(["presets", "paper"])["differences"], []);
});

test("data lists the data sets of an empty cache as absent and names the nearest of an unknown one", () => {
  const env = { DARTS_CACHE: join(folder, "cache") };
  const { datasets, cache } = json(["data", "list"], { env }) as {
    datasets: { name: string; state: string }[];
    cache: string;
  };
  assert.equal(cache, env.DARTS_CACHE);
  assert.equal(datasets.find(({ name }) => name === "cifar10")?.state, "absent");
  assert.match(darts(["data"], { env }).stdout, /^cifar10 +absent/m);
  for (const [args, message] of [
    [["data", "get", "cifar"], /Unknown data set cifar; .* Did you mean cifar10\?/],
    [["data", "get"], /Which data set\?/],
    [["data", "fetch"], /Unknown action fetch; expected list, get, verify/],
  ] as const) {
    const { code, stdout, stderr } = darts(args, { env });
    assert.match(stderr, message);
    assert.deepEqual({ code, stdout }, { code: 2, stdout: "" });
  }
});

test("data verify tells an absent data set by its exit code only when it was named", () => {
  const env = { DARTS_CACHE: join(folder, "cache") };
  assert.equal(darts(["data", "verify"], { env }).code, 0);
  assert.equal(darts(["data", "verify", "cifar10"], { env }).code, 1);
});
