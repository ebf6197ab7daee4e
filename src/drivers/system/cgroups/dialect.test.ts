import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { bytes, micros, milliCpu } from "#base/units.ts";
import {
  acceptableQuota,
  keyedNumber,
  periodUsMax,
  periodUsMin,
  quotaUsMin,
} from "#drivers/system/cgroups/dialect.ts";
import { v1 } from "#drivers/system/cgroups/v1.ts";
import { v2 } from "#drivers/system/cgroups/v2.ts";

const quota = { quotaUs: micros(10_000), periodUs: micros(40_000) };

test("v1 writes only the quota while the period stays", () => {
  assert.deepEqual(v1.cpuQuota(quota, micros(40_000)), [{ file: "cpu.cfs_quota_us", value: "10000" }]);
});

test("v1 changes the period with the quota lifted, so that the kernel sees no ratio beyond the parent's", () => {
  assert.deepEqual(
    v1.cpuQuota(quota, undefined).map((write) => write.value),
    ["-1", "40000", "10000"],
  );
});

test("v2 writes quota and period at once, and memory without swap", () => {
  assert.deepEqual(v2.cpuQuota(quota, undefined), [{ file: "cpu.max", value: "10000 40000" }]);
  assert.deepEqual(v2.memory(bytes(4096)), [
    { file: "memory.max", value: "4096" },
    { file: "memory.swap.max", value: "0" },
  ]);
});

test("one core is the kernel's default weight in both versions", () => {
  assert.equal(v1.cpuWeight(milliCpu(1000)).value, "1024");
  assert.equal(v2.cpuWeight(milliCpu(1000)).value, "100");
  assert.equal(v1.cpuWeight(milliCpu(0)).value, "2");
  assert.equal(v2.cpuWeight(milliCpu(0)).value, "1");
});

test("usage is read in microseconds from either version's text", () => {
  assert.equal(v1.cpuUsageUs("1500000\n"), 1500);
  assert.equal(v2.cpuUsageUs("usage_usec 1500\nuser_usec 3\n"), 1500);
  assert.equal(keyedNumber("low 0\noom 1\noom_kill 7\n", "oom_kill"), 7);
  assert.equal(keyedNumber("", "oom_kill"), 0);
});

test("acceptableQuota() is always within the kernel's bounds, and keeps the ratio wherever it can", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4_000_000 }), fc.integer({ min: 1, max: 2_000_000 }), (q, p) => {
      const got = acceptableQuota({ quotaUs: micros(q), periodUs: micros(p) });
      assert.ok(got.periodUs >= periodUsMin && got.periodUs <= periodUsMax);
      assert.ok(got.quotaUs >= quotaUsMin);
      const asked = q / p;
      if (asked < quotaUsMin / periodUsMax) return;
      assert.ok(
        Math.abs(got.quotaUs / got.periodUs - asked) / asked < 0.01,
        `${got.quotaUs}/${got.periodUs}`,
      );
    }),
  );
});
