import assert from "node:assert/strict";
import { test } from "node:test";
import { bytes, millis } from "#base/units.ts";
import { machineUsage } from "#drivers/usage/machine-usage.ts";
import type { Look } from "#drivers/usage/machine-usage.ts";

const look = (atMs: number, counted: number): Look => ({
  atMs: millis(atMs),
  processors: 2,
  load: [1, 2, 3],
  busyMs: counted,
  totalBytes: bytes(100),
  availableBytes: bytes(40),
  readBytes: bytes(counted),
  writtenBytes: bytes(2 * counted),
  network: { inBytes: bytes(3 * counted), outBytes: bytes(4 * counted) },
});

test("rates are of the time between two looks", () => {
  const usage = machineUsage(look(1000, 500), look(3000, 2500));
  assert.equal(usage.busyMilli, 1000);
  assert.equal(usage.readBytesPerSecond, 1000);
  assert.equal(usage.writtenBytesPerSecond, 2000);
  assert.equal(usage.inBps, 24_000);
  assert.equal(usage.outBps, 32_000);
  assert.equal(usage.readBytes, 2500);
});

test("after the first look, and when counters begin anew, there are no rates", () => {
  for (const usage of [
    machineUsage(undefined, look(3000, 2500)),
    machineUsage(look(1000, 500), look(2000, 0)),
  ]) {
    assert.equal(usage.busyMilli, 0);
    assert.equal(usage.inBps, 0);
    assert.equal(usage.writtenBytesPerSecond, 0);
  }
});
