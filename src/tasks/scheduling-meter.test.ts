import assert from "node:assert/strict";
import { test } from "node:test";
import { codeOf } from "#base/errors.ts";
import { ManualClock } from "#base/manual-clock.ts";
import { millis } from "#base/units.ts";
import type { EnforcementCounters } from "#drivers/scheduling/port.ts";
import { of40, pretendedHost } from "./host.fixture.ts";
import { SchedulingMeter } from "./scheduling-meter.ts";

test("a scheduling meter tells late slots per second, and CPU time used of what is reserved", () => {
  const { host } = pretendedHost();
  const clock = new ManualClock();
  const machine = host.createMachine({ name: "gold", cpu: of40(10) });
  const counted = { misses: 3, usedMs: 100 };
  const counts = {
    counters: (): readonly EnforcementCounters[] => [
      { id: "other", misses: 9 },
      { id: "gold", misses: counted.misses },
    ],
    cpuUsedMs: () => millis(counted.usedMs),
  };
  const meter = new SchedulingMeter("gold", machine, counts, clock);
  clock.advance(millis(2000));
  counted.misses += 4;
  counted.usedMs += 250;
  assert.deepEqual(meter.read(), [
    { metric: "usage", value: 0.5 },
    { metric: "misses", value: 2 },
  ]);
  assert.equal(meter.unitOf("usage"), "ratio");
});

test("without control groups use is not told; of a machine without a reservation, or without a life, nothing is", async () => {
  const { host } = pretendedHost({ groups: false });
  const clock = new ManualClock();
  const machine = host.createMachine({ name: "gold", cpu: of40(10) });
  const meter = new SchedulingMeter("gold", machine, host, clock);
  clock.advance(millis(1000));
  assert.ok(!meter.read().some(({ metric }) => metric === "usage"));
  host.vtmScheduler.expel(machine);
  assert.throws(
    () => meter.read(),
    (cause) => codeOf(cause) === "conflict" && /no CPU time reserved/.test(String(cause)),
  );
  await host.destroyMachine(machine);
  assert.throws(
    () => meter.read(),
    (cause) => codeOf(cause) === "conflict" && /destroyed/.test(String(cause)),
  );
});
