import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { putBackRaised, recordRaised } from "./raised.ts";

test("whatever a record says, nothing but limits of control groups is written to", () => {
  const place = mkdtempSync(join(tmpdir(), "consort-test-raised-"));
  try {
    const files = ["cpu.shares", "passwd"].map((name) => join(place, name));
    for (const file of files) writeFileSync(file, "kept");
    recordRaised(
      place,
      files.map((file) => ({ kind: "write", file, value: "1024" })),
    );
    putBackRaised(place);
    const hostile = files.flatMap((file) =>
      ["write", "weigh", "room", "turns", "frozen"].map(
        (kind) => `${kind}\t/sys/fs/cgroup/../../..${file}\t1024\n`,
      ),
    );
    writeFileSync(join(place, "raised"), hostile.join(""));
    putBackRaised(place);
    for (const file of files) assert.equal(readFileSync(file, "utf8"), "kept");
  } finally {
    rmSync(place, { recursive: true });
  }
});
