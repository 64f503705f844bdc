import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import os from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { resolveConfig } from "../../src/config/load.ts";
import { cacheFolder } from "../../src/data/cache.ts";
import { loadDataset } from "../../src/data/datasets.ts";
import { requireSpace, writeCached, writeError } from "../../src/data/disk.ts";
import { UserError } from "../../src/errors.ts";
import { temporaryFolder } from "./fixtures.ts";

test("the cache is where DARTS_CACHE says, else in the XDG cache, else in the home folder", () => {
  const home = { HOME: "/home/ada" };
  assert.equal(cacheFolder({ ...home, XDG_CACHE_HOME: "/xdg", DARTS_CACHE: "/darts" }), "/darts");
  assert.equal(cacheFolder({ ...home, XDG_CACHE_HOME: "/xdg" }), join("/xdg", "darts"));
  assert.equal(cacheFolder({ ...home, XDG_CACHE_HOME: "relative" }), join("/home/ada", ".cache", "darts"));
  assert.equal(cacheFolder(home), join("/home/ada", ".cache", "darts"));
});

test("a user without a home folder is told to name a cache, and needs none for images in folders", async (context) => {
  const { homedir } = os;
  os.homedir = () => {
    throw Object.assign(new Error("uv_os_homedir returned ENOENT"), { code: "ERR_SYSTEM_ERROR" });
  };
  syncBuiltinESMExports();
  context.after(() => {
    os.homedir = homedir;
    syncBuiltinESMExports();
  });
  assert.throws(() => cacheFolder({}), {
    name: "UserError",
    message: /^You have no home folder .*\. Name a folder in the environment variable DARTS_CACHE\.$/,
  });
  const environment = ["HOME", "DARTS_CACHE", "XDG_CACHE_HOME"].map(
    (name) => [name, process.env[name]] as const,
  );
  for (const [name] of environment) delete process.env[name];
  context.after(() => {
    for (const [name, value] of environment) if (value !== undefined) process.env[name] = value;
  });
  const { data } = resolveConfig({ flags: { "data.name": "folder", "data.path": "/nowhere" } });
  await assert.rejects(loadDataset(data, { seed: 1 }), { name: "UserError", message: /\/nowhere/ });
});

test("an atomic write makes its folder and leaves nothing beside the file", (context) => {
  const folder = join(temporaryFolder(context), "a", "b");
  writeCached(join(folder, "file"), "old");
  writeCached(join(folder, "file"), Uint8Array.of(1, 2, 3));
  assert.deepEqual(readdirSync(folder), ["file"]);
  assert.deepEqual([...readFileSync(join(folder, "file"))], [1, 2, 3]);
});

test("a writer that is killed leaves a whole file", async (context) => {
  const path = join(temporaryFolder(context), "file");
  const size = 20_000_000;
  const script = `
    const { writeCached } = await import(${JSON.stringify(new URL("../../src/data/disk.js", import.meta.url).href)});
    for (let i = 0; ; i = (i + 1) % 256) {
      writeCached(${JSON.stringify(path)}, new Uint8Array(${size}).fill(i));
      process.stdout.write(".");
    }`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  await new Promise((resolve) => setTimeout(resolve, 25));
  child.kill("SIGKILL");
  await once(child, "close");
  const bytes = readFileSync(path);
  assert.equal(bytes.length, size);
  assert.ok(bytes.every((byte) => byte === bytes[0]));
});

test("a full disk and a forbidden folder are told with the way out", () => {
  const full = writeError(Object.assign(new Error("write"), { code: "ENOSPC" }), "/cache/file", 139e6);
  assert.ok(full instanceof UserError);
  assert.match(full.message, /disk is full: writing 139 MB to \/cache\/file.*DARTS_CACHE/);
  const forbidden = writeError(Object.assign(new Error("open"), { code: "EACCES" }), "/cache/file", 1);
  assert.ok(forbidden instanceof UserError);
  assert.match(forbidden.message, /not allowed \(EACCES\).*DARTS_CACHE/);
});

test("too little space is noticed before anything is downloaded", (context) => {
  const folder = temporaryFolder(context);
  assert.throws(() => requireSpace(folder, 1e18), {
    name: "UserError",
    message: /free, .* are needed.*DARTS_CACHE/,
  });
  requireSpace(join(folder, "new"), 1);
  assert.ok(existsSync(join(folder, "new")));
});
