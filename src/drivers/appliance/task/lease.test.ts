import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { Clock } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import { LeaseFile, leaseEnd, leaseRecord } from "#drivers/appliance/task/lease.ts";
import { systemClock } from "#drivers/system/clock.ts";

const clock = systemClock();

test("leaseEnd() believes a whole record of this boot, and nothing else", () => {
  const record = leaseRecord(millis(1234), "boot-1");
  assert.equal(leaseEnd(record, "boot-1"), 1234);
  assert.equal(leaseEnd(record, "boot-2"), 0);
  assert.equal(leaseEnd("", "boot-1"), 0);
  assert.equal(leaseEnd(record.replace("1234", "1235"), "boot-1"), 0);
  assert.equal(record.length, leaseRecord(millis(999_999_999), "boot-1").length);
});

test("a lease is kept for the next manager of the same boot, and void after a reboot", () => {
  const directory = mkdtempSync(join(tmpdir(), "consort-lease-"));
  try {
    const first = new LeaseFile(directory, clock);
    first.open();
    assert.equal(first.lasts(), false);
    assert.equal(first.extend(millis(clock.monotonic() + 60_000)), true);
    assert.equal(first.extend(millis(clock.monotonic() + 30_000)), false);
    first.close();
    const second = new LeaseFile(directory, clock);
    second.open();
    assert.equal(second.lasts(), true);
    second.close();
    const text = readFileSync(second.path, "latin1");
    writeFileSync(second.path, text.replace(/\S+\n$/, `${"0".repeat(36)}\n`));
    const third = new LeaseFile(directory, clock);
    third.open();
    assert.equal(third.lasts(), false);
    third.close();
    assert.equal(Number(readFileSync(third.path, "latin1").split(" ")[0]), 0);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("a pause while a lease is converted makes it shorter, never longer", () => {
  const directory = mkdtempSync(join(tmpdir(), "consort-lease-"));
  // Each reading of the driver's clock comes ten seconds late, as in a process that was stopped before it.
  const paused: Clock = { ...clock, monotonic: () => millis(clock.monotonic() + 10_000) };
  try {
    const lease = new LeaseFile(directory, paused);
    lease.open();
    lease.extend(millis(clock.monotonic() + 9_000));
    assert.equal(lease.lasts(), false);
    lease.close();
  } finally {
    rmSync(directory, { recursive: true });
  }
});
