// The real clients, against what needs no network: npm packs a local folder as it packs one of its registry.
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readTarball } from "../../src/data/archive.ts";
import { fileChecksum } from "../../src/data/checksum.ts";
import { ensureDownloaded, type Source } from "../../src/data/download.ts";
import { fetchDebianPackage, fetchNpmPackage } from "../../src/data/fetch.ts";
import { temporaryFolder, writeFiles } from "./fixtures.ts";

const packageFiles = new Map([
  ["package.json", JSON.stringify({ name: "tiny", version: "1.0.0", scripts: { prepack: "exit 1" } })],
  ["data.bin", "0123456789"],
]);

test("npm fetches a package's tarball without running its scripts", async (context) => {
  const folder = temporaryFolder(context);
  writeFiles(join(folder, "tiny"), packageFiles);
  mkdirSync(join(folder, "to"));
  const tarball = await fetchNpmPackage(join(folder, "tiny"), join(folder, "to"));
  const files = await readTarball(tarball, (name) => name === "data.bin");
  assert.deepEqual([...files.keys()], ["data.bin"]);
  assert.equal(Buffer.from(files.get("data.bin") ?? []).toString(), "0123456789");
});

test("an unreachable registry is told as no network", async (context) => {
  const folder = temporaryFolder(context);
  const saved = { ...process.env };
  context.after(() => {
    process.env = saved;
  });
  process.env.npm_config_registry = "http://127.0.0.1:9/";
  process.env.npm_config_fetch_retries = "0";
  await assert.rejects(fetchNpmPackage("tiny@1.0.0", folder), {
    name: "UserError",
    message: /No network: "npm pack/,
  });
});

test("a missing client is told by its name", async (context) => {
  const saved = process.env.PATH;
  context.after(() => {
    process.env.PATH = saved;
  });
  process.env.PATH = temporaryFolder(context);
  await assert.rejects(fetchDebianPackage("tiny", temporaryFolder(context)), {
    name: "UserError",
    message: /apt-get is not on this machine/,
  });
});

/** A source that writes `content` and counts its fetches. */
async function source(context: Parameters<typeof temporaryFolder>[0], content: () => string) {
  const model = join(temporaryFolder(context), "model");
  writeFileSync(model, "right");
  const counted = { fetches: 0 };
  const made: Source = {
    title: "tiny package",
    bytes: 5,
    diskBytes: 10,
    otherwise: "do it by hand",
    files: [{ name: "file", sha256: await fileChecksum(model) }],
    async fetch(folder) {
      counted.fetches++;
      writeFileSync(join(folder, "part"), content());
      renameSync(join(folder, "part"), join(folder, "file"));
    },
  };
  return { made, counted };
}

test("a verified download is announced once and never fetched again", async (context) => {
  const folder = join(temporaryFolder(context), "downloads");
  const { made, counted } = await source(context, () => "right");
  const lines: string[] = [];
  for (let i = 0; i < 3; i++) await ensureDownloaded(made, folder, (line) => lines.push(line));
  assert.equal(counted.fetches, 1);
  assert.deepEqual(lines, [`Downloading 1 kB (tiny package) to ${folder}`]);
  assert.deepEqual(readdirSync(folder), ["file"]);
});

test("a download with another checksum is refused, named and not kept", async (context) => {
  const folder = join(temporaryFolder(context), "downloads");
  const { made } = await source(context, () => "wrong");
  await assert.rejects(
    ensureDownloaded(made, folder, () => {}),
    {
      name: "UserError",
      message: /got SHA-256 \w{64} \(5 bytes\), expected \w{64}.*\nOtherwise, do it by hand\.$/,
    },
  );
  assert.deepEqual(readdirSync(folder), []);
});

test("a damaged download is fetched again, and the remains of a killed process are removed", async (context) => {
  const folder = join(temporaryFolder(context), "downloads");
  const { made, counted } = await source(context, () => "right");
  const dead = 2 ** 22 + 1; // above the largest process id
  writeFiles(
    folder,
    new Map([
      ["file", "ri"],
      [`.fetch-${dead}-x/part`, "r"],
    ]),
  );
  await ensureDownloaded(made, folder, () => {});
  assert.equal(counted.fetches, 1);
  assert.deepEqual(readdirSync(folder), ["file"]);
});

test("a file put there by hand is taken when it is the right one", async (context) => {
  const folder = join(temporaryFolder(context), "downloads");
  const { made, counted } = await source(context, () => "right");
  writeFiles(folder, new Map([["file", "right"]]));
  await ensureDownloaded(made, folder, () => {});
  assert.equal(counted.fetches, 0);
});
