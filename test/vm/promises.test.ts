import assert from "node:assert/strict";
import { before, test } from "node:test";
import { applianceId, applianceName, ensembleName } from "#base/ids.ts";
import { millis } from "#base/units.ts";
import { whenSeen } from "#drivers/appliance/conformance.ts";
import type { BuiltGuest } from "#drivers/guest/port.ts";
import { signal } from "../task/host.ts";
import { machineHost, machinePlanOf, tinyGuest } from "./machine-host.ts";

/** What every appliance driver promises (drivers/appliance/conformance.ts), as far as it is not about a command's end. */
let guest: BuiltGuest;
before(async () => {
  guest = await tinyGuest();
});

const noGraceMs = millis(0);

test("every call to a machine does no harm when repeated, also at once", async () => {
  await using host = await machineHost(guest);
  const { driver } = host;
  const plan = machinePlanOf(guest);
  const { id } = plan;
  const twice = (call: () => Promise<void>): Promise<void[]> => Promise.all([call(), call()]);
  await twice(() => driver.create(plan, new Map(), signal));
  assert.deepEqual(
    driver.observe().map(({ state }) => state),
    ["created"],
  );
  await assert.rejects(driver.suspend(id, signal), { code: "conflict" });
  await twice(() => driver.start(id, signal));
  const { startedAt } = await whenSeen(driver, id, ({ state }) => state === "running");
  await driver.start(id, signal);
  assert.equal(driver.observe()[0]?.startedAt, startedAt);
  await twice(() => driver.suspend(id, signal));
  assert.equal(driver.observe()[0]?.state, "suspended");
  await twice(() => driver.resume(id, signal));
  await whenSeen(driver, id, ({ state }) => state === "running");
  await twice(() => driver.stop(id, noGraceMs, signal));
  assert.equal(driver.observe()[0]?.state, "stopped");
  await twice(() => driver.destroy(id, signal));
  assert.deepEqual(driver.observe(), []);
});

test("another generation of a machine is refused while the first is there, and what is not there is not started", async () => {
  await using host = await machineHost(guest);
  const plan = machinePlanOf(guest);
  await assert.rejects(host.driver.start(plan.id, signal), { code: "not_found" });
  await host.driver.stop(plan.id, noGraceMs, signal);
  await host.driver.destroy(plan.id, signal);
  await host.driver.create(plan, new Map(), signal);
  const other = host.driver.create({ ...plan, generation: "second" }, new Map(), signal);
  await assert.rejects(other, { code: "conflict" });
  assert.equal(host.driver.observe()[0]?.generation, plan.generation);
});

test("a driver opened anew finds machines that are created, suspended and running, with what they were given", async () => {
  await using host = await machineHost(guest);
  const plans = ["created", "suspended", "running"].map((name) =>
    machinePlanOf(guest, { id: applianceId(ensembleName("shop"), applianceName(name)) }),
  );
  for (const plan of plans) await host.driver.create(plan, new Map(), signal);
  for (const { id } of plans.slice(1)) {
    await host.driver.start(id, signal);
    await whenSeen(host.driver, id, ({ state }) => state === "running");
  }
  await host.driver.suspend(applianceId(ensembleName("shop"), applianceName("suspended")), signal);
  const next = await host.reopen();
  const seen = Object.fromEntries(next.observe().map((one) => [one.id, one]));
  for (const { id, memoryBytes } of plans) {
    assert.equal(id, `shop/${seen[id]?.state}`);
    assert.equal(seen[id]?.memoryLimitBytes, memoryBytes);
  }
});
