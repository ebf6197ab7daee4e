import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { lowerShared } from "./shared.ts";

test("a group that several share holds what those in it do, when one was removed with all it had", () => {
  const place = mkdtempSync(join(tmpdir(), "consort-test-raised-"));
  const write = (group: string, room: string, shares: string): void => {
    mkdirSync(join(place, group), { recursive: true });
    writeFileSync(join(place, group, "cpu.rt_runtime_us"), room);
    writeFileSync(join(place, group, "cpu.shares"), shares);
  };
  const held = (): string[] =>
    ["cpu.rt_runtime_us", "cpu.shares"].map((name) => readFileSync(join(place, name), "utf8"));
  try {
    write(".", "872000", "262144");
    lowerShared(place);
    assert.deepEqual(held(), ["0", "1024"]);
    write(".", "872000", "262144");
    write("red", "300000", "2048");
    write("blue", "100000", "1024");
    lowerShared(place);
    assert.deepEqual(held(), ["400000", "2048"]);
  } finally {
    rmSync(place, { recursive: true });
  }
});
