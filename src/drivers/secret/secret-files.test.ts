import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { secretFiles } from "#drivers/secret/secret-files.ts";

const { signal } = new AbortController();

function place(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "consort-secrets-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return join(directory, "secrets");
}

test("a secret is kept for its owner alone, replaced whole, and told by its name", async (t) => {
  const directory = place(t);
  const secrets = secretFiles(directory);
  assert.deepEqual(await secrets.names(signal), []);
  await secrets.set("store", { user: "me", password: "old" }, signal);
  await secrets.set("store", { password: "new" }, signal);
  await secrets.set("bucket", {}, signal);
  assert.deepEqual(await secretFiles(directory).get("store", signal), { password: "new" });
  assert.deepEqual(await secrets.names(signal), ["bucket", "store"]);
  assert.equal(statSync(directory).mode & 0o777, 0o700);
  for (const file of readdirSync(directory))
    assert.equal(statSync(join(directory, file)).mode & 0o777, 0o600);
  await secrets.remove("store", signal);
  await assert.rejects(secrets.get("store", signal), { code: "not_found" });
  await assert.rejects(secrets.remove("store", signal), { code: "not_found" });
});

test("one that others may read, or that is damaged, is refused without a word of its content", async (t) => {
  const directory = place(t);
  const secrets = secretFiles(directory);
  await secrets.set("store", { password: "hunter2" }, signal);
  chmodSync(join(directory, "store.json"), 0o644);
  await assert.rejects(secrets.get("store", signal), { code: "forbidden", message: /mode 0600 was wanted/ });
  writeFileSync(join(directory, "store.json"), '{"password": "hunter2"');
  chmodSync(join(directory, "store.json"), 0o600);
  await assert.rejects(secrets.get("store", signal), (error: Error) => {
    assert.match(error.message, /damaged/);
    assert.doesNotMatch(`${error.message} ${String(error.cause)}`, /hunter2/);
    return true;
  });
});

test("no name leads out of the directory", async (t) => {
  const secrets = secretFiles(place(t));
  for (const name of ["../x", "a/b", "", ".", "A", "a\0b", "x".repeat(60)])
    for (const call of [
      secrets.get(name, signal),
      secrets.set(name, {}, signal),
      secrets.remove(name, signal),
    ])
      await assert.rejects(call, { code: "bad_input" });
});
