import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { checkWritable, writeTextFile } from "#cli/writable-file.ts";

test("what cannot be written is told in words, by the check before and by the write itself", async () => {
  const folder = mkdtempSync(join(tmpdir(), "consort-writable-"));
  try {
    const file = join(folder, "chart.svg");
    await checkWritable(file);
    assert.ok(!existsSync(file), "the check leaves nothing");
    await writeTextFile(file, "one");
    await checkWritable(file);
    assert.equal(readFileSync(file, "utf8"), "one");
    writeFileSync(join(folder, "plain"), "");
    for (const [bad, wanted] of [
      [join(folder, "none", "chart.svg"), /Cannot write .*chart\.svg: there is no folder .*none, wanted/],
      [join(folder, "plain", "chart.svg"), /plain is no folder/],
      [folder, /it is a folder, wanted a file/],
    ] as const) {
      await assert.rejects(checkWritable(bad), wanted);
      await assert.rejects(writeTextFile(bad, ""), wanted);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
