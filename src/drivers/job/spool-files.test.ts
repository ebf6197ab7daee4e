import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import type { ApplianceId } from "#base/ids.ts";
import { jobStart, spoolKey } from "#drivers/job/port.ts";
import type { JobEntry } from "#drivers/job/port.ts";
import { spoolFiles } from "#drivers/job/spool-files.ts";

const { signal } = new AbortController();
const entry: JobEntry = {
  id: "render-1",
  attempt: 2,
  appliance: "shop/web" as ApplianceId,
  phase: "running",
  takenAtMs: 1,
  cursor: jobStart,
  written: { stdout: 0, stderr: 0 },
};
const key = spoolKey(entry);

function place(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "consort-spool-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return join(directory, "spool");
}

test("entries are found by the next manager, and what was never told of is removed", async (t) => {
  const directory = place(t);
  assert.deepEqual(await spoolFiles(directory).load(signal), []);
  await spoolFiles(directory).save(entry, signal);
  mkdirSync(join(directory, "half"));
  writeFileSync(join(directory, "half", "entry.json.new"), "{");
  assert.deepEqual(await spoolFiles(directory).load(signal), [entry]);
  assert.deepEqual(readdirSync(directory), [key]);
  assert.equal(statSync(join(directory, key, "entry.json")).mode & 0o777, 0o600);
  await spoolFiles(directory).remove(key, signal);
  assert.deepEqual(readdirSync(directory), []);
});

test("output that was written after the last entry is written once more, not twice", async (t) => {
  const directory = place(t);
  const spool = spoolFiles(directory);
  await spool.append(key, "stdout", Buffer.from("one\n"), signal);
  await spool.save({ ...entry, written: { stdout: 4, stderr: 0 } }, signal);
  // The manager dies before it can tell of this.
  await spool.append(key, "stdout", Buffer.from("two\n"), signal);
  const next = spoolFiles(directory);
  await next.load(signal);
  await next.append(key, "stdout", Buffer.from("two\n"), signal);
  const { data, nextByte } = await next.read(key, "stdout", 0, 100, signal);
  assert.deepEqual([Buffer.from(data).toString(), nextByte], ["one\ntwo\n", 8]);
});

test("of much output the newest is kept, and reading goes on where there is some", async (t) => {
  const spool = spoolFiles(place(t), 100);
  let all = "";
  for (let line = 0; line < 60; line += 1) {
    const text = `line ${line}\n`;
    all += text;
    await spool.append(key, "stderr", Buffer.from(text), signal);
  }
  let from = 0;
  let kept = "";
  for (;;) {
    const piece = await spool.read(key, "stderr", from, 7, signal);
    if (kept === "") assert.ok(piece.fromByte > 0);
    if (piece.data.length === 0) break;
    kept += Buffer.from(piece.data).toString();
    from = piece.nextByte;
  }
  assert.equal(from, all.length);
  assert.ok(all.endsWith(kept) && kept.length >= 50 && kept.length <= 120, `${kept.length} bytes`);
  assert.deepEqual((await spool.read("none.1", "stdout", 5, 7, signal)).data.length, 0);
});
