import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { generators } from "../../tools/generators.ts";

const root = join(import.meta.dirname, "..", "..");

for (const { path, content } of generators) {
  test(`${path} says what the code says`, () => {
    assert.equal(readFileSync(join(root, path), "utf8"), content(), "stale: run npm run generate");
  });
}
