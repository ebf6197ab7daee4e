import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const owner = fileURLToPath(new URL("many-jobs.child.ts", import.meta.url));

test("more jobs are dispatched than files may be open, and none of them is left stopped", async () => {
  const root = mkdtempSync(join(tmpdir(), "consort-test-scheduling-many-"));
  try {
    const files = "--nofile=128:128";
    const program = [process.execPath, owner, join(root, "owner"), "150"];
    const { stdout } = await promisify(execFile)("prlimit", [files, ...program]);
    assert.equal(stdout, "stopped\nfree\n");
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});
