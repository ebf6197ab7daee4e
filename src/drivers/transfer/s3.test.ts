import assert from "node:assert/strict";
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock } from "#drivers/system/clock.ts";
import { transferLimits } from "./limits.ts";
import { openTransfer } from "./transfer.ts";

test("what a store does not take in one piece is refused before anything of it is read or sent", async () => {
  const directory = mkdtempSync(join(tmpdir(), "consort-test-s3-"));
  try {
    const file = join(directory, "large");
    writeFileSync(file, "");
    // One hole.
    truncateSync(file, transferLimits.transferS3BytesMax + 1);
    const transfer = openTransfer({ clock: systemClock(), roots: [] });
    const secret = { accessKey: "me", secretKey: "mine", endpoint: "http://127.0.0.1:1" };
    const place = { url: "s3://bucket/large", secret };
    await assert.rejects(
      transfer.upload(file, place, () => {}, new AbortController().signal),
      { code: "limit_exceeded", message: /at most 5GiB/ },
    );
  } finally {
    rmSync(directory, { recursive: true });
  }
});
