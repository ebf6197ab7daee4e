import assert from "node:assert/strict";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { codeOf } from "#base/errors.ts";
import { ManualClock } from "#base/manual-clock.ts";
import type { Transfer } from "./port.ts";
import { openTransfer } from "./transfer.ts";

const signal = new AbortController().signal;

function withRoot(t: TestContext): { root: string; outside: string; transfer: Transfer } {
  const directory = mkdtempSync(join(tmpdir(), "consort-files-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const root = join(directory, "root");
  mkdirSync(root);
  const transfer = openTransfer({ clock: new ManualClock(), roots: [root] });
  return { root, outside: join(directory, "target"), transfer };
}

test("files below a root are read, written, listed and removed", async (t) => {
  const { root, outside, transfer } = withRoot(t);
  writeFileSync(outside, "content");
  const url = `file://${root}/new/directory/file`;
  await transfer.upload(outside, { url }, () => {}, signal);
  assert.deepEqual(readdirSync(join(root, "new/directory")), ["file"]);
  assert.deepEqual(await transfer.list({ url: `file://${root}/new` }, signal), ["directory"]);
  await transfer.download({ url }, `${outside}-2`, {}, () => {}, signal);
  assert.equal(readFileSync(`${outside}-2`, "utf8"), "content");
  await transfer.remove({ url }, signal);
  await transfer.remove({ url }, signal);
  assert.deepEqual(readdirSync(join(root, "new/directory")), []);
});

test("no link and no path leads out of the roots", async (t) => {
  const { root, outside, transfer } = withRoot(t);
  writeFileSync(outside, "secret");
  symlinkSync(outside, join(root, "link"));
  symlinkSync(join(root, ".."), join(root, "up"));
  const isForbidden = (error: unknown): boolean => codeOf(error) === "forbidden";
  for (const url of [
    `file://${root}/link`,
    `file://${outside}`,
    `file://${root}/up/target`,
    "file:///etc/passwd",
  ])
    await assert.rejects(
      transfer.download({ url }, `${outside}-2`, {}, () => {}, signal),
      isForbidden,
    );
  await assert.rejects(
    transfer.upload(outside, { url: `file://${root}/up/new/x` }, () => {}, signal),
    isForbidden,
  );
  await assert.rejects(transfer.remove({ url: `file://${root}/up/target` }, signal), isForbidden);
  assert.equal(readFileSync(outside, "utf8"), "secret");
});

test("what is no regular file, not there or too large is refused", async (t) => {
  const { root, outside, transfer } = withRoot(t);
  mkdirSync(join(root, "directory"));
  writeFileSync(join(root, "large"), "0123456789");
  const refusals = { directory: "bad_input", none: "not_found", large: "limit_exceeded" };
  for (const [name, code] of Object.entries(refusals))
    await assert.rejects(
      transfer.download({ url: `file://${root}/${name}` }, outside, { sizeBytesMax: 9 }, () => {}, signal),
      (error) => codeOf(error) === code,
      name,
    );
});
