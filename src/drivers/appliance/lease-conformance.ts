import assert from "node:assert/strict";
import { test } from "node:test";
import { applianceId, applianceName, ensembleName } from "#base/ids.ts";
import type { Clock } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import { conformanceId, conformancePlan, whenSeen } from "#drivers/appliance/conformance.ts";
import type { ApplianceSubject } from "#drivers/appliance/conformance.ts";
import type { ApplianceDriver, ApplianceObservation } from "#drivers/appliance/port.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";

type Leases = {
  readonly name: string;
  readonly clock: Clock;
  readonly setUp: () => Promise<ApplianceSubject>;
};

const { signal } = new AbortController();
const none: ReadonlyMap<string, string> = new Map();
/** Long enough to see something run under it, short enough to be waited for. */
const shortMs = 300;
const longMs = 3_600_000;
const graceMs = millis(60_000);

const otherId = applianceId(ensembleName("conformance"), applianceName("other"));

const isIn =
  (state: ApplianceObservation["state"]) =>
  (one: ApplianceObservation): boolean =>
    one.state === state;
const seenOf = (driver: ApplianceDriver, id = conformanceId): ApplianceObservation | undefined =>
  driver.observe().find((one) => one.id === id);

/** They are all made first, so that a short lease is enough to start them under. */
async function runningFor(
  leaseMs: number,
  { driver, clock }: { driver: ApplianceDriver; clock: Clock },
  plans: readonly AppliancePlan[],
): Promise<void> {
  for (const plan of plans) await driver.create(plan, none, signal);
  lease(driver, clock, leaseMs);
  for (const plan of plans) await driver.start(plan.id, signal);
}

async function running(driver: ApplianceDriver, plan: AppliancePlan): Promise<AppliancePlan> {
  await driver.create(plan, none, signal);
  await driver.start(plan.id, signal);
  return plan;
}

/** What every appliance driver has to do about leases. */
export function leaseConformance(name: string, clock: Clock, setUp: () => Promise<ApplianceSubject>): void {
  const leases = { name, clock, setUp };
  holding(leases);
  outliving(leases);
  changing(leases);
}

const lease = (driver: ApplianceDriver, clock: Clock, forMs: number): void =>
  driver.renewLease(millis(clock.monotonic() + forMs));

function holding({ name, clock, setUp }: Leases): void {
  test(`${name}: starts nothing leased without a lease`, async () => {
    await using subject = await setUp();
    const { driver, programs } = subject;
    const plan = conformancePlan({ command: programs.stays(), leased: true });
    await driver.create(plan, none, signal);
    await assert.rejects(driver.start(plan.id, signal), { code: "unavailable", message: /no lease/ });
    assert.equal(seenOf(driver)?.state, "created");
    driver.renewLease(clock.monotonic());
    await assert.rejects(driver.start(plan.id, signal), { code: "unavailable" });
    lease(driver, clock, longMs);
    await driver.start(plan.id, signal);
    assert.equal(seenOf(driver)?.state, "running");
    assert.equal(seenOf(driver)?.leased, true);
  });

  test(`${name}: holds a leased appliance when its lease ends, and lets it go on when it is renewed`, async () => {
    await using subject = await setUp();
    const { driver, programs } = subject;
    const plan = conformancePlan({ command: programs.stays(), leased: true });
    await runningFor(shortMs, { driver, clock }, [plan]);
    const before = seenOf(driver);
    await whenSeen(driver, plan.id, isIn("fenced"));
    const request = { command: programs.ends(0), env: {}, onOutput: () => {} };
    await assert.rejects(driver.exec(plan.id, request, signal), { code: "conflict" });
    await assert.rejects(driver.suspend(plan.id, signal), { code: "conflict" });
    await driver.start(plan.id, signal);
    assert.equal(seenOf(driver)?.state, "fenced");
    lease(driver, clock, longMs);
    const after = await whenSeen(driver, plan.id, isIn("running"));
    assert.equal(after.startedAt, before?.startedAt);
    assert.equal(after.restarts, 0);
    assert.equal(await driver.exec(plan.id, request, signal), 0);
  });

  test(`${name}: a lease renewed in time is not noticed, and an older one changes nothing`, async () => {
    await using subject = await setUp();
    const { driver, programs } = subject;
    lease(driver, clock, longMs);
    const plan = await running(driver, conformancePlan({ command: programs.stays(), leased: true }));
    let notices = 0;
    driver.onChange(() => (notices += 1));
    lease(driver, clock, longMs + 1);
    lease(driver, clock, -longMs);
    assert.equal(seenOf(driver, plan.id)?.state, "running");
    assert.equal(notices, 0);
  });

  test(`${name}: leaves appliances that are not leased alone`, async () => {
    await using subject = await setUp();
    const { driver, programs } = subject;
    const other = conformancePlan({ id: otherId, command: programs.stays() });
    await running(driver, other);
    assert.equal(seenOf(driver, otherId)?.leased ?? false, false);
    const plan = conformancePlan({ command: programs.stays(), leased: true });
    await runningFor(shortMs, { driver, clock }, [plan]);
    await whenSeen(driver, plan.id, isIn("fenced"));
    assert.equal(seenOf(driver, otherId)?.state, "running");
    await driver.stop(otherId, graceMs, signal);
    await driver.start(otherId, signal);
    assert.equal(seenOf(driver, otherId)?.state, "running");
  });

  test(`${name}: stops a fenced appliance at once, and destroys one`, async () => {
    await using subject = await setUp();
    const { driver, programs } = subject;
    const plan = conformancePlan({ command: programs.stays(), leased: true });
    await runningFor(shortMs, { driver, clock }, [plan, { ...plan, id: otherId }]);
    await whenSeen(driver, plan.id, isIn("fenced"));
    await whenSeen(driver, otherId, isIn("fenced"));
    // With a grace this long, politeness would show.
    await driver.stop(plan.id, graceMs, signal);
    assert.equal(seenOf(driver, plan.id)?.state, "stopped");
    await assert.rejects(driver.start(plan.id, signal), { code: "unavailable" });
    await driver.destroy(otherId, signal);
    assert.equal(seenOf(driver, otherId), undefined);
  });
}

function outliving({ name, clock, setUp }: Leases): void {
  test(`${name}: keeps fencing after the manager is gone, and the next one's lease lets it go on`, async () => {
    await using subject = await setUp();
    const plan = conformancePlan({ command: subject.programs.stays(), leased: true });
    await runningFor(shortMs, { driver: subject.driver, clock }, [plan]);
    const driver = await subject.reopen();
    assert.equal(seenOf(driver)?.leased, true);
    await whenSeen(driver, plan.id, isIn("fenced"));
    lease(driver, clock, longMs);
    await whenSeen(driver, plan.id, isIn("running"));
  });

  test(`${name}: what an earlier manager was granted lasts`, async () => {
    await using subject = await setUp();
    const plan = conformancePlan({ command: subject.programs.stays(), leased: true });
    lease(subject.driver, clock, longMs);
    await subject.driver.create(plan, none, signal);
    const driver = await subject.reopen();
    lease(driver, clock, -longMs);
    await driver.start(plan.id, signal);
    assert.equal(seenOf(driver)?.state, "running");
  });

  test(`${name}: a command that ended is not restarted before the lease is renewed`, async () => {
    await using subject = await setUp();
    const { driver, programs } = subject;
    const restart = { when: "always", backoffMsMin: millis(500), backoffMsMax: millis(500) } as const;
    const plan = conformancePlan({ command: programs.ends(5), leased: true, restart });
    await runningFor(shortMs, { driver, clock }, [plan]);
    await whenSeen(driver, plan.id, isIn("backoff"));
    const held = await whenSeen(driver, plan.id, isIn("fenced"));
    lease(driver, clock, longMs);
    await whenSeen(driver, plan.id, (one) => one.state === "backoff" && one.restarts > held.restarts);
    await driver.stop(plan.id, graceMs, signal);
  });
}

function changing({ name, clock, setUp }: Leases): void {
  test(`${name}: a suspended appliance stays suspended through fence and renewal`, async () => {
    await using subject = await setUp();
    const { driver, programs } = subject;
    const plan = conformancePlan({ command: programs.stays(), leased: true });
    await runningFor(shortMs, { driver, clock }, [plan, { ...plan, id: otherId }]);
    await driver.suspend(plan.id, signal);
    await whenSeen(driver, otherId, isIn("fenced"));
    assert.equal(seenOf(driver)?.state, "suspended");
    lease(driver, clock, longMs);
    await whenSeen(driver, otherId, isIn("running"));
    assert.equal(seenOf(driver)?.state, "suspended");
    await driver.resume(plan.id, signal);
    await whenSeen(driver, plan.id, isIn("running"));
  });

  test(`${name}: resumed after its lease has ended, it is fenced until the next one`, async () => {
    await using subject = await setUp();
    const { driver, programs } = subject;
    const plan = conformancePlan({ command: programs.stays(), leased: true });
    await runningFor(shortMs, { driver, clock }, [plan, { ...plan, id: otherId }]);
    await driver.suspend(plan.id, signal);
    await whenSeen(driver, otherId, isIn("fenced"));
    await driver.resume(plan.id, signal);
    await whenSeen(driver, plan.id, isIn("fenced"));
    lease(driver, clock, longMs);
    await whenSeen(driver, plan.id, isIn("running"));
  });

  test(`${name}: leased is changed live`, async () => {
    await using subject = await setUp();
    const { driver, programs } = subject;
    const plan = await running(driver, conformancePlan({ command: programs.stays() }));
    await driver.adapt(new Map([[plan.id, { leased: true }]]), signal);
    await whenSeen(driver, plan.id, isIn("fenced"));
    assert.equal(seenOf(driver)?.leased, true);
    await driver.adapt(new Map([[plan.id, { leased: false }]]), signal);
    await whenSeen(driver, plan.id, isIn("running"));
    assert.equal(seenOf(driver)?.leased ?? false, false);
    const next = await subject.reopen();
    assert.equal(seenOf(next)?.state, "running");
  });
}
