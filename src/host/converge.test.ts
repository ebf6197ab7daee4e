import assert from "node:assert/strict";
import { test } from "node:test";
import { hostId } from "#base/ids.ts";
import { ManualClock } from "#base/manual-clock.ts";
import { bytes, milliCpu, millis } from "#base/units.ts";
import { FakeApplianceDriver, fakeMachine } from "#drivers/appliance/fake.ts";
import { noSegments } from "#drivers/network/none.ts";
import { silentLog } from "#drivers/system/log.ts";
import { Converger } from "#host/converge.ts";
import { planned } from "#host/sample.ts";
import type { HostPlan } from "#protocol/host-plan.ts";

const { signal } = new AbortController();

test("who makes an appliance is told how long its content was waited for, and of no other", async () => {
  const clock = new ManualClock();
  const told: unknown[] = [];
  const begun: unknown[] = [];
  const appliances = Object.assign(new FakeApplianceDriver(clock, fakeMachine()), {
    contentCame: (id: string, tookMs: number) => told.push([id, tookMs]),
  });
  const lacking = new Set(["shop/slow", "shop/dropped"]);
  const converger = new Converger({
    appliances,
    network: noSegments,
    tunnels: undefined,
    clock,
    log: silentLog,
    capacity: { cpuMilli: milliCpu(1000), memoryBytes: bytes(1e9) },
    lacks: ({ id }) => (lacking.has(id) ? "waits for its image" : undefined),
    onBegun: (id) => void begun.push(id),
    onSettled: () => {},
  });
  const plan = (...names: string[]): HostPlan => ({
    host: hostId("a1"),
    epoch: 1,
    revision: 1,
    appliances: names.map((name) => planned(name)),
    segments: [],
    shapedPairs: [],
    tunnels: [],
  });
  await converger.pass(plan("slow", "quick", "dropped"), signal);
  clock.advance(millis(3000));
  const problems = await converger.pass(plan("slow", "quick"), signal);
  assert.deepEqual(problems, [{ appliance: "shop/slow", message: "waits for its image" }]);
  clock.advance(millis(2000));
  lacking.clear();
  assert.deepEqual(begun, [], "what was never waited for is told of at the end of the pass");
  assert.deepEqual(await converger.pass(plan("slow", "quick", "dropped"), signal), []);
  await converger.pass(plan("slow", "quick", "dropped"), signal);
  assert.deepEqual(told, [["shop/slow", 5000]]);
  assert.deepEqual(begun, ["shop/slow"]);
});
