import assert from "node:assert/strict";
import { test } from "node:test";
import { applianceConformance, conformanceId, conformancePlan } from "#drivers/appliance/conformance.ts";
import type { ApplianceSubject } from "#drivers/appliance/conformance.ts";
import { FakeApplianceDriver, fakeMachine, fakePrograms, fakeState } from "#drivers/appliance/fake.ts";
import { leaseConformance } from "#drivers/appliance/lease-conformance.ts";
import { millis } from "#base/units.ts";
import { systemClock } from "#drivers/system/clock.ts";

const clock = systemClock();
const { signal } = new AbortController();

applianceConformance("fake", fakeHost);
leaseConformance("fake", clock, fakeHost);

async function fakeHost(): Promise<ApplianceSubject> {
  const machine = fakeMachine();
  let driver = new FakeApplianceDriver(clock, machine);
  await driver.recover(signal);
  return {
    driver,
    programs: fakePrograms,
    async reopen() {
      await driver.close();
      driver = new FakeApplianceDriver(clock, machine);
      await driver.recover(signal);
      return driver;
    },
    async [Symbol.asyncDispose]() {
      for (const one of driver.observe()) await driver.destroy(one.id, signal);
      await driver.close();
      assert.equal(machine.appliances.size, 0);
    },
  };
}

test("the fake ends a command on demand, and shows the names it was given", async () => {
  const driver = new FakeApplianceDriver(clock);
  await driver.create(
    conformancePlan({ command: fakePrograms.stays() }),
    new Map([["web", "10.0.0.1"]]),
    signal,
  );
  await driver.start(conformanceId, signal);
  assert.equal(driver.namesIn(conformanceId).get("web"), "10.0.0.1");
  driver.crash(conformanceId, 9);
  assert.equal(driver.observe()[0]?.state, "failed");
  await driver.close();
});

test("the fake's lease ends on the machine's clock, with no driver there", async () => {
  const machine = fakeMachine();
  const driver = new FakeApplianceDriver(clock, machine);
  const until = millis(clock.monotonic() + 60_000);
  driver.renewLease(until);
  await driver.create(conformancePlan({ command: fakePrograms.stays(), leased: true }), new Map(), signal);
  await driver.start(conformanceId, signal);
  await driver.close();
  assert.equal(fakeState(machine, conformanceId, millis(until - 1)), "running");
  assert.equal(fakeState(machine, conformanceId, until), "fenced");
});
