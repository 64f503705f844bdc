import assert from "node:assert/strict";
import { test } from "node:test";
import { nearest } from "../../src/config/nearest.ts";

const names = ["cifar10", "mnist", "fashion-mnist", "folder"];

test("a name with a slip finds the one that was meant", () => {
  assert.equal(nearest("cifar-10", names), "cifar10");
  assert.equal(nearest("CIFAR10", names), "cifar10");
  assert.equal(nearest("mnsit", names), "mnist");
  assert.equal(nearest("fashionmnist", names), "fashion-mnist");
});

test("a name like none of them finds nothing", () => {
  assert.equal(nearest("imagenet-1k", ["darts", "folder"]), undefined);
  assert.equal(nearest("anything", []), undefined);
});
