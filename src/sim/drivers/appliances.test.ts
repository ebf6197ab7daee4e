import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { seededRandom } from "#base/seeded-random.ts";
import { millis, milliCpu } from "#base/units.ts";
import { hostId } from "#base/ids.ts";
import { applianceConformance, conformanceId, conformancePlan } from "#drivers/appliance/conformance.ts";
import type { ApplianceSubject } from "#drivers/appliance/conformance.ts";
import { leaseConformance } from "#drivers/appliance/lease-conformance.ts";
import type { Clock } from "#base/runtime.ts";
import { SimulatedApplianceDriver } from "#sim/drivers/appliances.ts";
import { incarnationClock } from "#sim/drivers/clock.ts";
import { SimulatedMachine } from "#sim/drivers/machine.ts";
import { Wire } from "#sim/kernel/wire.ts";
import type { Incarnation } from "#sim/kernel/incarnation.ts";
import { RunningTime } from "#sim/kernel/running-time.fixture.ts";
import { defaultSettings } from "#sim/settings.ts";

const { signal } = new AbortController();
const none: ReadonlyMap<string, string> = new Map();
const programs = {
  stays: () => ["stay"],
  ends: (code: number) => ["exit", String(code)],
  says: (text: string) => ["say", text],
};

class Host {
  readonly running = new RunningTime();
  readonly machine = new SimulatedMachine({
    host: hostId("a1"),
    time: this.running.time,
    clock: this.running.place,
    random: seededRandom(1),
    capacityMilli: 1000,
    settings: { ...defaultSettings, demandOf: () => 600 },
    onChange: () => {},
  });
  life: Incarnation = this.running.life();

  async open(): Promise<SimulatedApplianceDriver> {
    this.life.kill();
    this.life = this.running.life();
    const { machine, life } = this;
    const clock = incarnationClock(life);
    const { time } = this.running;
    const settings = defaultSettings;
    const roads = { time, wire: new Wire(seededRandom(1)), settings, machineOf: () => undefined };
    const driver = new SimulatedApplianceDriver({ machine, life, clock, settings, roads });
    await driver.recover(signal);
    return driver;
  }
}

/** The clock of the newest host's machine: each test has a host of its own. */
let newest: Host | undefined;
const clock: Clock = {
  now: () => millis(newest?.running.place.wall() ?? 0),
  monotonic: () => millis((newest?.running.place.monotonic() ?? 0) - (newest?.life.startedAt ?? 0)),
  sleep: (delay, stop) => incarnationClock(newest!.life).sleep(delay, stop),
  timer: (delay, run) => incarnationClock(newest!.life).timer(delay, run),
};

async function host(): Promise<ApplianceSubject> {
  const one = new Host();
  newest = one;
  const driver = await one.open();
  return {
    driver,
    programs,
    reopen: () => one.open(),
    async [Symbol.asyncDispose]() {
      for (const { id } of one.machine.appliances) one.machine.remove(id);
      one.life.kill();
      await one.running[Symbol.asyncDispose]();
    },
  };
}

applianceConformance("simulated", host);
leaseConformance("simulated", clock, host);

describe("a simulated machine", () => {
  const leased = conformancePlan({ command: programs.stays(), leased: true });

  it("holds what is leased when the lease ends by its own clock, with no manager there", async () => {
    const one = new Host();
    await using running = one.running;
    const driver = await one.open();
    driver.renewLease(millis(1000));
    await driver.create(leased, none, signal);
    await driver.start(leased.id, signal);
    const endsAtMs = one.life.startedAt + 1000;
    one.life.kill();
    const executes = (): boolean => [...one.machine.appliances].some((two) => two.executes);
    assert.equal(executes(), true);
    await new Promise<void>((resolve) => {
      running.time.schedule(endsAtMs - 0.001, undefined, "before", () => assert.equal(executes(), true));
      running.time.schedule(endsAtMs + 0.001, undefined, "after", resolve);
    });
    assert.equal(executes(), false);
    assert.deepEqual(
      [...one.machine.appliances].map((two) => two.state),
      ["fenced"],
    );
  });

  it("kills a stubborn program after its grace, and not before", async () => {
    const one = new Host();
    await using running = one.running;
    const driver = await one.open();
    await driver.create(conformancePlan({ command: ["stubborn"] }), none, signal);
    await driver.start(conformanceId, signal);
    const toldAtMs = running.time.nowMs;
    await driver.stop(conformanceId, millis(700), signal);
    assert.ok(running.time.nowMs - toldAtMs >= 700);
    assert.equal(driver.observe()[0]?.state, "stopped");
  });

  it("runs a program as long as it executes: what it is held for does not count", async () => {
    const one = new Host();
    await using running = one.running;
    const driver = await one.open();
    await driver.create(conformancePlan({ command: ["end", "500", "3"] }), none, signal);
    await driver.start(conformanceId, signal);
    const { promise, resolve } = Promise.withResolvers<void>();
    driver.onChange(() => {
      if (driver.observe()[0]?.state === "failed") resolve();
    });
    const beganAtMs = running.time.nowMs;
    await driver.suspend(conformanceId, signal);
    await incarnationClock(one.life).sleep(millis(2000), signal);
    await driver.resume(conformanceId, signal);
    await promise;
    assert.ok(running.time.nowMs - beganAtMs >= 2480, `ended after ${running.time.nowMs - beganAtMs} ms`);
    assert.equal(driver.observe()[0]?.exitCode, 3);
  });

  it("loses all that runs with its power, and tells the next manager of what is on disk", async () => {
    const one = new Host();
    await using _running = one.running;
    let driver = await one.open();
    await driver.create(conformancePlan({ command: programs.stays() }), none, signal);
    await driver.start(conformanceId, signal);
    one.life.kill();
    one.machine.losePower();
    assert.deepEqual(
      [...one.machine.appliances].map((two) => two.executes),
      [false],
    );
    one.machine.returnPower();
    driver = await one.open();
    const [seen] = driver.observe();
    assert.equal(seen?.state, "failed");
    assert.equal(seen.exitCode, 137);
  });

  it("gives processor time by weight, and adds up what was used", async () => {
    const one = new Host();
    await using running = one.running;
    const driver = await one.open();
    const cpu = { kind: "share", shareMilli: milliCpu(500), limitMilli: milliCpu(300) } as const;
    await driver.create(conformancePlan({ command: programs.stays(), cpu }), none, signal);
    await driver.start(conformanceId, signal);
    const before = driver.observe()[0]?.cpuUsedMs ?? 0;
    const fromMs = running.time.nowMs;
    await incarnationClock(one.life).sleep(millis(2000), signal);
    const used = (driver.observe()[0]?.cpuUsedMs ?? 0) - before;
    const wanted = (running.time.nowMs - fromMs) * 0.3;
    assert.ok(Math.abs(used - wanted) <= 2, `used ${used} ms, ${wanted} wanted`);
  });
});
