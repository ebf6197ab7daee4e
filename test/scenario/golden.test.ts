import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readBlocks, replay } from "./golden.ts";

/**
 * UPDATE_SCENARIOS=1 node --test test/scenario/golden.test.ts records what comes of each now; what changed is then a
 * difference to read before it is committed.
 */
const updates = process.env["UPDATE_SCENARIOS"] === "1";
const files = readdirSync(import.meta.dirname).filter((name) => name.endsWith(".scenario"));

test("there are golden scenarios", () => {
  assert.ok(files.length >= 5, files.join());
});

for (const name of files) {
  test(`${name.replace(".scenario", "").replaceAll("-", " ")}: goes as recorded`, async () => {
    const path = join(import.meta.dirname, name);
    const text = readFileSync(path, "utf8");
    const now = await replay(text);
    if (updates) writeFileSync(path, now);
    else assert.equal(now, text, `${name} goes another way now; UPDATE_SCENARIOS=1 records it`);
    // However it was recorded: no invariant was broken on the way, and every command was understood.
    assert.doesNotMatch(now, /^ended: /m);
    assert.ok(readBlocks(now).length >= 4);
  });
}
