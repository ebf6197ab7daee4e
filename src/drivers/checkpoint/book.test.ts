import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync, existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { applianceId, applianceName, ensembleName } from "#base/ids.ts";
import { CheckpointBook } from "#drivers/checkpoint/book.ts";

const directory = mkdtempSync(join(tmpdir(), "consort-book-"));
const db = applianceId(ensembleName("shop"), applianceName("db"));
after(() => rmSync(directory, { recursive: true }));

test("a record is what was last written whole, whatever was cut off after it", async () => {
  const book = new CheckpointBook(directory);
  await book.load();
  await book.write({ appliance: db, taken: [], beganFrom: "a" });
  writeFileSync(join(directory, encodeURIComponent(db), "chain.json.new"), '{"appliance":"sh');
  const again = new CheckpointBook(directory);
  await again.load();
  assert.equal(again.chain(db).beganFrom, "a");
});

test("only the newest table is kept, and nothing of what is forgotten", async () => {
  const book = new CheckpointBook(directory);
  await book.load();
  await book.writeTable(db, "a", new Uint8Array(3));
  await book.writeTable(db, "b", new Uint8Array(3));
  await book.removeTables(db, "b");
  assert.deepEqual([existsSync(book.tableFile(db, "a")), existsSync(book.tableFile(db, "b"))], [false, true]);
  await book.remove(db);
  assert.equal(existsSync(book.tableFile(db, "b")), false);
  assert.deepEqual(book.chain(db).taken, []);
});
